import { costRows, totalOf } from '../api/costs'
import { Cumulative } from '../charts/Cumulative'
import { Legend } from '../charts/Legend'
import { StackedSeries } from '../charts/StackedSeries'
import { rangeText } from '../lib/days'
import type { EvidenceRef } from '../lib/evidenceRef'
import { CHARTS, type View } from '../lib/view'
import { GROUP_WORDS } from '../lib/words'
import { Failed, Loading } from '../parts/PanelState'
import { DayTable } from './DayTable'
import { NothingMatches } from './NothingMatches'
import { Restated } from './Restated'
import type { Overview } from './useOverview'

const VIEW_WORDS = { daily: 'Daily', cumulative: 'Cumulative', table: 'Table' } as const

type Props = {
  view: View
  overview: Overview
  highlight: string | null
  setHighlight: (member: string | null) => void
  open: (evidence: EvidenceRef) => void
  change: (part: Partial<View>) => void
}

/** Cost by day in three forms of the same data. */
export function ChartPanel({ view, overview, highlight, setHighlight, open, change }: Props) {
  const { byDay, dayTotals } = overview
  const title = view.chart === 'cumulative' ? 'Cumulative cost' : `Daily cost by ${GROUP_WORDS[view.by].one}`
  const refreshing = byDay.isPlaceholderData || dayTotals.isPlaceholderData
  return (
    <section className="panel chart-panel" aria-label={title}>
      <header className="panel-head">
        <h2>{title}</h2>
        <div className="segments" role="group" aria-label="Show as">
          {CHARTS.map((chart) => (
            <button key={chart} type="button" aria-pressed={chart === view.chart} onClick={() => change({ chart })}>{VIEW_WORDS[chart]}</button>
          ))}
        </div>
      </header>
      <div className={refreshing ? 'chart-body refreshing' : 'chart-body'}>
        <Body {...{ view, overview, highlight, setHighlight, open, change, title }} />
      </div>
      {dayTotals.data && <Restated meta={dayTotals.data.meta} />}
    </section>
  )
}

function Body({ view, overview, highlight, setHighlight, open, change, title }: Props & { title: string }) {
  const { byDay, dayTotals, table, model, comparison, grownBefore } = overview
  const failed = [byDay, dayTotals].find(({ error, data }) => error && !data)
  if (failed?.error) return <Failed what={title} error={failed.error} again={() => [byDay, dayTotals].forEach((one) => void one.refetch())} />
  if (!byDay.data || !dayTotals.data || !table.data) return <Loading what={title} />
  if (dayTotals.data.items.length === 0) return <NothingMatches view={view} overview={overview} change={change} />
  const total = totalOf(table.data)
  const compared = comparison.how !== 'none' && table.data.meta.missing_days.length === 0
  switch (view.chart) {
    case 'daily':
      return (
        <>
          <StackedSeries model={model} title={title} highlight={highlight} openAnomaly={(id) => open({ kind: 'anomaly', id })} />
          <Legend model={model} setHighlight={setHighlight} />
        </>
      )
    case 'cumulative':
      return (
        <Cumulative
          model={model}
          title={title}
          total={total.amount}
          previous={compared ? total.previous : null}
          previousWords={rangeText(comparison.start, comparison.end)}
          before={compared && grownBefore.data ? costRows(grownBefore.data).map(({ amount }) => Number(amount)) : []}
          monthEnd={view.period === 'mtd' ? (overview.forecast?.month_end ?? null) : null}
        />
      )
    case 'table':
      return <DayTable model={model} title={title} />
  }
}
