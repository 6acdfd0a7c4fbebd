/** What the charts are given: the days, the members and what is expected, apart from how they are drawn. */

import type { Member } from '../api/costs'
import type { Forecast } from '../api/types'
import type { Column } from '../lib/columns'
import type { Day } from '../lib/days'

export type ForecastDay = Forecast['days'][number]

/** A numbered mark over the chart. */
export type Mark = {
  /** The number of the insight that explains it; null for one nobody wrote about. */
  number: number | null
  anomalyId: string
  day: Day
  /** What happened, in words, for those who do not see where the mark stands. */
  label: string
  /** Whether a narrower anomaly explains it. */
  explained: boolean
}

export type ChartModel = {
  columns: Column[]
  /** In the order they are stacked, the largest at the bottom; what is folded together is on top. */
  members: Member[]
  /** The class that colours each member. */
  colours: ReadonlyMap<string, string>
  /** From the day after the last complete one; empty where there is no forecast of this view. */
  forecast: ForecastDay[]
  marks: Mark[]
  currency: string
}

/** The days along the axis: those that were, then those expected. */
export function axisDays({ columns, forecast }: Pick<ChartModel, 'columns' | 'forecast'>): Day[] {
  const known = columns.map(({ day }) => day)
  const last = known.at(-1) ?? ''
  return [...known, ...forecast.map(({ usage_day }) => usage_day).filter((day) => day > last)]
}
