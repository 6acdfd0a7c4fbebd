/** From the period asked for to the days that are counted and the days that are drawn. */

import { type Day, daysBetween, monthStart, monthText, nextMonth, plusDays, rangeText } from './days'
import type { Period } from './view'

export type Window = {
  /** First day, and the day after the last complete one: what totals count. */
  start: Day
  end: Day
  /** The day after the last day drawn: beyond `end` lie days whose charges are still arriving. */
  drawnEnd: Day
  /** As many days just before, drawn faded. */
  previousStart: Day
  /** What the lead figure calls it: `this month`. */
  words: string
}

type Held = { complete_through: Day; first_usage_day: Day; last_usage_day: Day }

/** The days of a period. It ends at the last complete day: an unfinished day is in no total. */
export function windowOf(period: Period, held: Held): Window {
  const complete = plusDays(held.complete_through, 1)
  const [start, asked, words] = bounds(period, complete)
  const end = asked < complete ? asked : complete > start ? complete : plusDays(start, 1)
  const reachesNow = asked >= complete
  const arriving = plusDays(held.last_usage_day, 1)
  return {
    start,
    end,
    drawnEnd: reachesNow && arriving > end ? arriving : end,
    previousStart: plusDays(start, -daysBetween(start, end)),
    words,
  }
}

function bounds(period: Period, complete: Day): [Day, Day, string] {
  const last = plusDays(complete, -1)
  if (typeof period === 'object') return [period.from, plusDays(period.to, 1), rangeText(period.from, plusDays(period.to, 1))]
  switch (period) {
    case 'mtd':
      return [monthStart(last), complete, 'this month']
    case 'lastmonth': {
      const before = monthStart(plusDays(monthStart(last), -1))
      return [before, nextMonth(before), monthText(before)]
    }
    default: {
      const days = Number.parseInt(period)
      return [plusDays(complete, -days), complete, `last ${days} days`]
    }
  }
}
