import { type Total, totalOf } from '../api/costs'
import type { Meta } from '../api/types'
import { dayText, daysBetween, monthText, rangeText } from '../lib/days'
import type { EvidenceRef } from '../lib/evidenceRef'
import { change as changeOf, money, perDay, short } from '../lib/money'
import { lastClosedMonth } from '../lib/reconciled'
import type { View } from '../lib/view'
import { METRIC_WORDS, counted } from '../lib/words'
import { ChangeText } from '../parts/ChangeText'
import { Figure } from '../parts/Figure'
import { Failed } from '../parts/PanelState'
import type { Overview } from './useOverview'

type Props = {
  meta: Meta
  view: View
  overview: Overview
  open: (evidence: EvidenceRef) => void
  change: (part: Partial<View>) => void
}

/** Four figures: what was spent, where the month ends, what a day costs, what could be saved. */
export function LeadStrip({ meta, view, overview, open, change }: Props) {
  const { table, forecasts, recommendations, forecastAsked } = overview
  const waiting = table.isPending || recommendations.isPending || (forecastAsked && forecasts.isPending)
  if (table.error && !table.data) {
    return <section className="panel lead-failed" aria-label="Spend"><Failed what="The totals" error={table.error} again={() => void table.refetch()} /></section>
  }
  return (
    <section className={`panel lead${table.isPlaceholderData ? ' refreshing' : ''}`} aria-label="Key figures" aria-busy={waiting}>
      <Spend meta={meta} view={view} overview={overview} open={open} />
      <MonthEnd overview={overview} />
      <Burn overview={overview} />
      <Savings overview={overview} change={change} />
    </section>
  )
}

function Spend({ meta, view, overview, open }: Omit<Props, 'change'>) {
  const { table, window, currency } = overview
  const total = table.data && totalOf(table.data)
  const evidence: EvidenceRef = { kind: 'cell', start: window.start, end: window.end, measure: view.metric, currency, filters: view.filters }
  const metric = view.metric === 'billed_cost' ? '' : `, ${METRIC_WORDS[view.metric].title.toLowerCase()}`
  const closed = lastClosedMonth(meta, currency)
  return (
    <div className="lead-cell">
      <h2>Spend {window.words}, complete days{metric}</h2>
      <p className="lead-figure lead-first">
        {total ? <Figure evidence={evidence} open={open} label="Open the charges behind this total" className="plain-figure">{money(total.amount, currency)}</Figure> : ' '}
      </p>
      <p className="lead-note">
        {total && <Compared total={total} overview={overview} missing={table.data.meta.missing_days} />}
        {closed && closed.off.length > 0 && <span className="warn"> Not reconciled</span>}
      </p>
    </div>
  )
}

type ComparedProps = { total: Total; overview: Overview; missing: string[] }

/** How the total moved, or why that cannot be said. */
function Compared({ total, overview: { window, comparison, currency }, missing }: ComparedProps) {
  const within = missing.filter((day) => day >= window.start)
  if (within.length > 0) return <span className="warn">{counted(within.length, 'day')} of it {within.length === 1 ? 'is' : 'are'} not loaded</span>
  if (comparison.how === 'none') return <>{rangeText(window.start, window.end)}</>
  if (missing.length > 0) return <>No comparison: days before {dayText(window.start)} are not loaded</>
  if (total.previous === null) return null
  return (
    <>
      <ChangeText change={changeOf(total.amount, total.previous, currency)} brackets /> vs {rangeText(comparison.start, comparison.end)}
    </>
  )
}

function MonthEnd({ overview: { forecasts, forecast, forecastAsked, currency } }: { overview: Overview }) {
  const end = forecast?.month_end
  return (
    <div className="lead-cell">
      <h2>Forecast for {end ? monthText(end.start) : 'this month'}</h2>
      <p className="lead-figure">{end ? money(end.expected_cost, currency) : forecasts.isPending && forecastAsked ? ' ' : '–'}</p>
      <p className="lead-note">
        {end ? `80% interval ${short(end.low_80, currency)} to ${short(end.high_80, currency)}` : whyNone(forecasts, forecastAsked)}
      </p>
    </div>
  )
}

function whyNone(forecasts: Overview['forecasts'], asked: boolean): string {
  if (!asked) return 'Only of billed cost, by project or service'
  if (forecasts.error) return 'The forecast did not load; the other figures hold'
  if (forecasts.isPending) return ''
  return `None: ${forecasts.data?.meta.why_none ?? 'nothing was forecast for this view'}`
}

function Burn({ overview: { table, window, currency } }: { overview: Overview }) {
  const total = table.data && totalOf(table.data)
  const unloaded = table.data?.meta.missing_days.filter((day) => day >= window.start).length ?? 0
  const days = daysBetween(window.start, window.end) - unloaded
  return (
    <div className="lead-cell">
      <h2>Burn rate</h2>
      <p className="lead-figure">{total && days > 0 ? <>{perDay(total.amount, days, currency)} <small>/ day</small></> : ' '}</p>
      <p className="lead-note">Mean of {counted(days, 'complete day')}</p>
    </div>
  )
}

function Savings({ overview: { recommendations, currency }, change }: { overview: Overview; change: Props['change'] }) {
  const total = recommendations.data?.meta.totals.find((one) => one.billing_currency === currency)
  return (
    <div className="lead-cell">
      <h2>Possible savings</h2>
      <p className="lead-figure">
        {total ? (
          <button type="button" className="plain-figure" data-evidence="savings" onClick={() => change({ savings: true })}>
            {money(total.monthly_saving_mid, currency)}
            <small> / month</small>
          </button>
        ) : recommendations.isPending ? ' ' : '–'}
      </p>
      <p className="lead-note">
        {total ? `${short(total.monthly_saving_low, currency)} to ${short(total.monthly_saving_high, currency)}, ${counted(total.count, 'recommendation')}` : recommendations.error ? 'Recommendations did not load; the other figures hold' : recommendations.isPending ? '' : 'No rule found any'}
      </p>
    </div>
  )
}
