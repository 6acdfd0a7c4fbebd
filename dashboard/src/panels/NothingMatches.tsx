import { type Total, totalOf } from '../api/costs'
import { useCosts } from '../api/queries'
import { rangeText } from '../lib/days'
import { GROUPS, type Group, type View } from '../lib/view'
import { counted, GROUP_WORDS } from '../lib/words'
import type { Overview } from './useOverview'

type Props = { view: View; overview: Overview; change: (part: Partial<View>) => void }

/** No charge at all: which filters did it, and what taking each away would bring back. */
export function NothingMatches({ view, overview, change }: Props) {
  const filtered = GROUPS.filter((group) => view.filters[group])
  const days = rangeText(overview.window.start, overview.window.drawnEnd)
  return (
    <div className="panel-state" role="status">
      <p className="panel-state-title">{filtered.length > 0 ? 'No charges match these filters.' : 'No charges in this period.'}</p>
      <p>{filtered.length > 0 ? `${days}: nothing was charged to what is asked for.` : `${days}: nothing was charged. Take another period.`}</p>
      {filtered.map((group) => <Removal key={group} group={group} view={view} overview={overview} change={change} />)}
      {filtered.length === 0 && (
        <div className="buttons"><button type="button" className="primary" onClick={() => change({ period: 'mtd' })}>Show this month</button></div>
      )}
    </div>
  )
}

function Removal({ group, view, overview: { version, window, currency }, change }: Props & { group: Group }) {
  const filters = Object.fromEntries(Object.entries(view.filters).filter(([name]) => name !== group))
  const without = useCosts(version, {
    measure: ['charge_count'], billing_currency: [currency], start: window.start, end: window.end, granularity: 'total', ...filters,
  })
  const found: Total | undefined = without.data && totalOf(without.data)
  const { one } = GROUP_WORDS[group]
  return (
    <>
      {found && <p>{counted(Number(found.amount), 'charge matches', 'charges match')} without the {one} filter.</p>}
      <div className="buttons">
        <button type="button" className="primary" onClick={() => change({ filters })}>Remove {one} filter</button>
      </div>
    </>
  )
}
