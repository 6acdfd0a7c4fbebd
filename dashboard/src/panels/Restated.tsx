import type { CostPage } from '../api/types'
import { dayText, timeText } from '../lib/days'
import { cents } from '../lib/money'
import { counted } from '../lib/words'

/** That figures of the period moved after they were first served: how many days, when the last, by how much together. */
export function Restated({ meta }: { meta: CostPage['meta'] }) {
  if (!meta.restated || !meta.last_restated_at) return null
  const days = counted(meta.restated_days.length, 'day')
  const moved = meta.restated_by.map((by) => cents(by.billed_cost_change, by.billing_currency)).join(', ')
  return (
    <p className="panel-note">
      {days} of this period moved after being served, the last on {dayText(meta.last_restated_at.slice(0, 10))},{' '}
      {timeText(meta.last_restated_at)}: {moved} together.
    </p>
  )
}
