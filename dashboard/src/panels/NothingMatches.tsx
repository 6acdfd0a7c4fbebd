import { rangeText } from '../lib/days'
import type { Window } from '../lib/period'
import { GROUPS, type View } from '../lib/view'
import { GROUP_WORDS } from '../lib/words'

type Props = { view: View; window: Window; change: (part: Partial<View>) => void }

/** No charge at all: which filters did it, and how to take each away. */
export function NothingMatches({ view, window, change }: Props) {
  const filtered = GROUPS.filter((group) => view.filters[group])
  return (
    <div className="panel-state" role="status">
      <p className="panel-state-title">{filtered.length > 0 ? 'No charges match these filters.' : 'No charges in this period.'}</p>
      <p>
        {filtered.length > 0
          ? `Nothing was charged between ${rangeText(window.start, window.drawnEnd)} to ${filtered.map((group) => `this ${GROUP_WORDS[group].one}`).join(' and ')}.`
          : `Nothing was charged ${rangeText(window.start, window.drawnEnd)}. Take another period.`}
      </p>
      <div className="buttons">
        {filtered.map((group) => (
          <button key={group} type="button" className="primary" onClick={() => change({ filters: without(view, group) })}>
            Remove {GROUP_WORDS[group].one} filter
          </button>
        ))}
        {filtered.length === 0 && <button type="button" className="primary" onClick={() => change({ period: 'mtd' })}>Show this month</button>}
      </div>
    </div>
  )
}

function without({ filters }: View, group: (typeof GROUPS)[number]): View['filters'] {
  return Object.fromEntries(Object.entries(filters).filter(([name]) => name !== group))
}
