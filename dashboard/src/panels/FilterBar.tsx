import type { Meta } from '../api/types'
import { monthBefore } from '../lib/comparison'
import { monthText, rangeText } from '../lib/days'
import { GROUPS, METRICS, type View } from '../lib/view'
import { GROUP_WORDS, METRIC_WORDS } from '../lib/words'
import { Choices } from '../parts/Choices'
import { Popover } from '../parts/Popover'
import { AddFilter } from './AddFilter'
import { BarActions } from './BarActions'
import { FilterChips } from './FilterChips'
import { PeriodChoice } from './PeriodChoice'
import type { Overview } from './useOverview'

type Props = { meta: Meta; view: View; overview: Overview; change: (part: Partial<View>) => void }

/** What is asked: the period, what it is compared with, by what, which cost, of whom. */
export function FilterBar({ meta, view, overview, change }: Props) {
  const { window, comparison, currency, narrow } = overview
  const period = rangeText(window.start, window.end)
  const chips = <FilterChips view={view} change={change} />
  const count = Object.values(view.filters).flat().length
  if (narrow) {
    return (
      <div className="filter-bar" role="group" aria-label="What is shown">
        <Popover label={comparison.how === 'none' ? period : `${period} vs ${comparison.how === 'month' ? monthText(comparison.start).slice(0, 3) : 'before'}`}>
          {(close) => (
            <>
              <PeriodChoice meta={meta} view={view} window={window} change={change} close={close} />
              <CompareChoice overview={overview} change={change} />
            </>
          )}
        </Popover>
        <Popover label={`By ${GROUP_WORDS[view.by].one}`}>{(close) => <GroupChoice view={view} change={change} close={close} />}</Popover>
        <Popover label={count > 0 ? `Filters (${count})` : 'Filters'}>
          {() => (
            <>
              {chips}
              <AddFilter view={view} change={change} />
              <MetricChoice view={view} change={change} />
              <CurrencyChoice meta={meta} currency={currency} change={change} />
              <BarActions view={view} overview={overview} />
            </>
          )}
        </Popover>
      </div>
    )
  }
  return (
    <div className="filter-bar" role="group" aria-label="What is shown">
      <Popover label="Period" value={period}>
        {(close) => <PeriodChoice meta={meta} view={view} window={window} change={change} close={close} />}
      </Popover>
      <Popover label="Compare" value={comparison.how === 'none' ? 'Nothing' : rangeText(comparison.start, comparison.end)}>
        {(close) => <CompareChoice overview={overview} change={(part) => { change(part); close() }} />}
      </Popover>
      <Popover label="Group by" value={GROUP_WORDS[view.by].title}>{(close) => <GroupChoice view={view} change={change} close={close} />}</Popover>
      <Popover label="Cost" value={METRIC_WORDS[view.metric].title}>
        {(close) => <MetricChoice view={view} change={(part) => { change(part); close() }} />}
      </Popover>
      {meta.billing_currencies.length > 1 && (
        <Popover label="Currency" value={currency}>
          {(close) => <CurrencyChoice meta={meta} currency={currency} change={(part) => { change(part); close() }} />}
        </Popover>
      )}
      {chips}
      <Popover label="Add filter" plain>{(close) => <AddFilter view={view} change={(part) => { change(part); close() }} />}</Popover>
      <BarActions view={view} overview={overview} />
    </div>
  )
}

type Part = { view: View; change: Props['change'] }

function CompareChoice({ overview: { window, comparison }, change }: { overview: Overview; change: Props['change'] }) {
  const month = monthBefore(window)
  const choices = [
    { value: 'month' as const, title: rangeText(month.start, month.end), meaning: 'The same days of the month before' },
    { value: 'previous' as const, title: rangeText(window.previousStart, window.start), meaning: 'As many days just before' },
    { value: 'none' as const, title: 'Nothing' },
  ]
  return <Choices title="Compare with" choices={choices} chosen={comparison.how} choose={(compare) => change({ compare })} />
}

function GroupChoice({ view, change, close }: Part & { close: () => void }) {
  const choose = (by: View['by']) => {
    change({ by, open: [] })
    close()
  }
  return <Choices title="Group by" choices={GROUPS.map((value) => ({ value, title: GROUP_WORDS[value].title }))} chosen={view.by} choose={choose} />
}

function MetricChoice({ view, change }: Part) {
  const choices = METRICS.map((value) => ({ value, ...METRIC_WORDS[value] }))
  return <Choices title="Cost" choices={choices} chosen={view.metric} choose={(metric) => change({ metric })} />
}

function CurrencyChoice({ meta, currency, change }: { meta: Meta; currency: string; change: Props['change'] }) {
  const choices = meta.billing_currencies.map((value) => ({ value, title: value }))
  return <Choices title="Currency, never added to another" choices={choices} chosen={currency} choose={(chosen) => change({ currency: chosen })} />
}
