/** What a period is compared with. The API compares the same days; a test holds the two together. */

import { type Day, daysBetween, monthStart, plusDays } from './days'
import type { Window } from './period'
import type { Compare, Period, View } from './view'

export type Comparison = {
  how: Compare
  /** The days it is compared with: `start <= day < end`. */
  start: Day
  end: Day
  /** The API's word for it. Rows carry the days just before also where nothing is compared: then they are not shown. */
  compare: 'previous' | 'previous_month'
}

/** A month is compared with the month before, other periods with as many days just before, unless somebody says otherwise. */
export function comparisonOf({ compare, period }: Pick<View, 'compare' | 'period'>, window: Window): Comparison {
  const how = compare ?? (isMonth(period) ? 'month' : 'previous')
  return how === 'month'
    ? { how, ...monthBefore(window), compare: 'previous_month' }
    : { how, start: window.previousStart, end: window.start, compare: 'previous' }
}

function isMonth(period: Period): boolean {
  return period === 'mtd' || period === 'lastmonth'
}

/** The same days of the month before, or as many of them as it has. */
export function monthBefore({ start, end }: Pick<Window, 'start' | 'end'>): { start: Day; end: Day } {
  const last = plusDays(monthStart(start), -1)
  const same = last.slice(0, 8) + start.slice(8)
  const first = same < last ? same : last
  const asMany = plusDays(first, daysBetween(start, end))
  return { start: first, end: asMany < start ? asMany : start }
}
