/** Everything the overview asks of the API, from one view. Totals and "others" come from there, never from sums here. */

import { useMemo, useRef } from 'react'
import { costRows, OTHER } from '../api/costs'
import { useAnomalies, useCosts, useForecast, useInsights, useRecommendations } from '../api/queries'
import type { Anomaly, CostQuery, Insight, Meta } from '../api/types'
import type { ChartModel, Mark } from '../charts/model'
import { assignSlots } from '../charts/scales'
import { columnsOf } from '../lib/columns'
import { comparisonOf } from '../lib/comparison'
import { currencyOf } from '../lib/currency'
import { dayText, plusDays } from '../lib/days'
import { windowOf } from '../lib/period'
import type { View } from '../lib/view'
import { GROUP_WORDS, counted } from '../lib/words'
import { forecastScope } from '../lib/forecastScope'
import { useNarrow } from '../lib/useNarrow'

/** As many as there are colours that can be told apart. */
export const TOP = 7
const SPARK_DAYS = 30
const LEAST_FORECAST_DAYS = 7

export type Overview = ReturnType<typeof useOverview>

export function useOverview(meta: Meta, view: View) {
  const version = meta.data_version
  const currency = currencyOf(view.currency, meta.billing_currencies)
  const window = useMemo(() => windowOf(view.period, meta), [view.period, meta])
  const comparison = useMemo(() => comparisonOf(view, window), [view, window])
  const narrow = useNarrow()

  const question: CostQuery = { measure: [view.metric], billing_currency: [currency], ...view.filters }
  const counted = { ...question, start: window.start, end: window.end, granularity: 'total' as const, compare: comparison.compare }
  const daily = { ...question, start: window.start, end: window.drawnEnd, granularity: 'daily' as const, compare: 'previous' as const }
  const table = useCosts(version, { ...counted, group_by: [view.by], top: TOP })
  const byDay = useCosts(version, { ...daily, group_by: [view.by], top: TOP })
  const dayTotals = useCosts(version, daily)
  const grownBefore = useCosts(
    version,
    { ...question, start: comparison.start, end: comparison.end, granularity: 'daily' },
    view.chart === 'cumulative' && comparison.how !== 'none',
  )

  const rows = useMemo(() => (table.data ? costRows(table.data) : []), [table.data])
  const members = useMemo(() => rows.map(({ member }) => member), [rows])
  const kept = members.filter(({ id }) => id !== OTHER).map(({ id }) => id)
  const spark = useSparklines(meta, view, currency, kept)

  const scope = { billing_currency: [currency], ...onlyScoped(view) }
  const period = { ...scope, start: window.start, end: window.drawnEnd }
  const insights = useInsights(version, period)
  const anomalies = useAnomalies(version, { ...period, include_explained: true })
  const recommendations = useRecommendations(version, scope)
  const reachesNow = window.end > meta.complete_through
  const asked = forecastScope(view, currency)
  const forecasts = useForecast(version, asked)
  const forecast = asked ? (forecasts.data?.items[0] ?? null) : null

  const colours = useColours(view.by, members.map(({ id }) => id))
  const model = useMemo((): ChartModel => {
    const asked = { window, firstDay: meta.first_usage_day, missing: byDay.data?.meta.missing_days ?? [] }
    const columns = columnsOf(byDay.data ? costRows(byDay.data) : [], dayTotals.data ? costRows(dayTotals.data) : [], asked)
    const monthEnd = forecast?.month_end.end ?? ''
    const soon = plusDays(window.end, LEAST_FORECAST_DAYS)
    return {
      columns,
      members: titled(members, view.by),
      colours,
      forecast: reachesNow && forecast ? forecast.days.filter(({ usage_day }) => usage_day >= window.end && (usage_day < monthEnd || usage_day < soon)) : [],
      marks: marksOf(anomalies.data?.items ?? [], inReadingOrder(insights.data?.items ?? [])),
      currency,
    }
  }, [window, meta.first_usage_day, byDay.data, dayTotals.data, forecast, members, view.by, colours, reachesNow, anomalies.data, insights.data, currency])

  return { currency, window, comparison, grownBefore, version, narrow, table, byDay, dayTotals, rows, spark, colours, model, insights, anomalies, recommendations, forecasts, forecast, forecastAsked: asked !== null }
}

/** What insights and savings can be narrowed by. */
function onlyScoped({ filters }: View): Pick<View['filters'], 'project' | 'service'> {
  return { ...(filters.project && { project: filters.project }), ...(filters.service && { service: filters.service }) }
}

/** `23 others` becomes `23 other services`. */
function titled(members: ChartModel['members'], by: View['by']): ChartModel['members'] {
  const { one, many } = GROUP_WORDS[by]
  return members.map((member) => (member.id === OTHER ? { ...member, name: counted(member.others, `other ${one}`, `other ${many}`) } : member))
}

/** The last complete days of each row of the table. Drawn only, so sums made here reach no text. */
function useSparklines(meta: Meta, view: View, currency: string, kept: string[]): ReadonlyMap<string, number[]> {
  const end = plusDays(meta.complete_through, 1)
  const start = plusDays(end, -SPARK_DAYS)
  const asked: CostQuery = { measure: [view.metric], billing_currency: [currency], start, end, granularity: 'daily', ...view.filters }
  const each = useCosts(meta.data_version, { ...asked, group_by: [view.by], [view.by]: kept }, kept.length > 0)
  const all = useCosts(meta.data_version, asked)
  return useMemo(() => {
    const days = Array.from({ length: SPARK_DAYS }, (_, index) => plusDays(start, index))
    const at = new Map(days.map((day, index) => [day, index]))
    const found = new Map(kept.map((id): [string, number[]] => [id, days.map(() => 0)]))
    const rest = days.map(() => 0)
    for (const { day, amount } of all.data ? costRows(all.data) : []) rest[at.get(day ?? '') ?? -1] = Number(amount)
    for (const { day, member, amount } of each.data ? costRows(each.data) : []) {
      const index = at.get(day ?? '')
      const amounts = found.get(member.id)
      if (index === undefined || !amounts) continue
      amounts[index] = Number(amount)
      rest[index] = (rest[index] ?? 0) - Number(amount)
    }
    return found.set(OTHER, rest)
    // `kept` is a new array each time; what it holds is what `each.data` was asked with.
  }, [each.data, all.data, start, kept.join(' ')])
}

/** The colour class of each member, which stays with it while others come and go. */
function useColours(by: string, ids: string[]): ReadonlyMap<string, string> {
  const slots = useRef<{ by: string; slots: ReadonlyMap<string, number> }>({ by, slots: new Map() })
  const key = `${by} ${ids.join(' ')}`
  return useMemo(() => {
    const before = slots.current.by === by ? slots.current.slots : new Map<string, number>()
    const now = assignSlots(before, ids.filter((id) => id !== OTHER), TOP)
    slots.current = { by, slots: now }
    return new Map(ids.map((id): [string, string] => [id, id === OTHER ? 'rest' : `c${(now.get(id) ?? TOP) + 1}`]))
  }, [key])
}

/** The marks of the anomalies, each with the number of its insight. */
function marksOf(anomalies: Anomaly[], insights: Insight[]): Mark[] {
  const numbers = insightNumbers(insights)
  const marks = anomalies.map((anomaly) => {
    const insight = insights.find((one) => one.subject === 'anomaly' && one.subject_id === anomaly.anomaly_id)
    const number = insight ? (numbers.get(insight.insight_id) ?? null) : null
    const what = insight?.text.headline ?? `${anomaly.service_name ?? 'The whole account'} was ${anomaly.direction === 'up' ? 'above' : 'below'} what was expected`
    return {
      number,
      anomalyId: anomaly.anomaly_id,
      day: anomaly.peak_day,
      label: `${number ?? 'Anomaly'}, ${dayText(anomaly.peak_day)}: ${what}`,
      explained: anomaly.explained_by.length > 0,
    }
  })
  const place = ({ number }: Mark) => number ?? marks.length
  return marks.sort((a, b) => place(a) - place(b))
}

/** In reading order: what is unusual, the worst first, then what is merely so. The API's order decides among equals. */
export function inReadingOrder(insights: Insight[]): Insight[] {
  const place = ({ subject, severity }: Insight) => (subject === 'anomaly' ? SEVERITIES.indexOf(severity ?? 'low') : SEVERITIES.length)
  return [...insights].sort((a, b) => place(a) - place(b))
}

const SEVERITIES = ['high', 'medium', 'low']

/** Insights about anomalies are numbered in the order they are read. */
export function insightNumbers(insights: Insight[]): ReadonlyMap<string, number> {
  const about = insights.filter(({ subject }) => subject === 'anomaly')
  return new Map(about.map(({ insight_id }, index) => [insight_id, index + 1]))
}
