import type { Meta } from '../api/types'
import { usageDayLink } from '../lib/dagster'
import { dayText, daysBetween, timeText } from '../lib/days'
import { counted } from '../lib/words'
import { Badge } from '../parts/Badge'

/** How long a load may take, beyond the days after which a usage day is complete. */
const LOADING_DAYS = 1

/** Through which day the numbers are complete, and whether that is as recent as it should be. */
export function Freshness({ meta }: { meta: Meta }) {
  const today = new Date().toISOString().slice(0, 10)
  const age = daysBetween(meta.complete_through, today)
  const [good, detail] = stateOf(meta, age)
  return (
    <Badge
      good={good}
      mark="dot"
      title={`Complete to ${dayText(meta.complete_through)}`}
      detail={detail}
      href={meta.dagster_url ? usageDayLink(meta.dagster_url, meta.complete_through) : null}
    />
  )
}

function stateOf(meta: Meta, age: number): [boolean, string] {
  if (meta.partitions_parked > 0) return [false, `${counted(meta.partitions_parked, 'partition')} failed and wait for somebody`]
  if (age > meta.complete_after_days + LOADING_DAYS) return [false, `${counted(age, 'day')} old; nothing newer is in any total`]
  if (meta.usage_days_behind > 0) return [true, `${counted(meta.usage_days_behind, 'day')} being restated`]
  return [true, `loaded ${timeText(meta.loaded_at)}`]
}
