import { cumsum } from 'd3-array'
import { scaleLinear } from 'd3-scale'
import { area, line } from 'd3-shape'
import { short } from '../lib/money'
import { useNarrow } from '../lib/useNarrow'
import { useWidth } from '../lib/useWidth'
import type { Forecast } from '../api/types'
import { AmountAxis } from './AmountAxis'
import type { ChartModel } from './model'
import { amountScale, type Plot } from './scales'

type Props = {
  model: ChartModel
  title: string
  /** What the period came to, and the one before; the API's totals, not the sums of what is drawn. */
  total: string
  previous: string | null
  previousWords: string
  /** What each day of the period before cost, for the line alone. */
  before: number[]
  /** Where the month is expected to end; null where the period is not this month, or nothing is expected. */
  monthEnd: Forecast['month_end'] | null
}

/** How the cost of the period grew, beside the period before, and where the month is heading. */
export function Cumulative({ model, title, total, previous, previousWords, before: daysBefore, monthEnd }: Props) {
  const [ref, width] = useWidth<HTMLDivElement>()
  const narrow = useNarrow()
  const { columns, forecast, currency } = model
  const plot: Plot = { width, height: narrow ? 226 : 404, left: narrow ? 48 : 58, right: narrow ? 74 : 96, top: 30, bottom: 24 }
  const now = [...cumsum(columns.filter(({ phase }) => phase === 'period'), (one) => Number(one.total))]
  const before = previous === null ? [] : [...cumsum(daysBefore)]
  const ahead = monthEnd ? forecast.filter(({ usage_day }) => usage_day < monthEnd.end).length : 0
  const count = Math.max(now.length + ahead, before.length)
  const last = now.length - 1
  const known = now[last] ?? 0
  const end = monthEnd && ahead > 0 ? { low: Number(monthEnd.low_80), high: Number(monthEnd.high_80), middle: Number(monthEnd.expected_cost) } : null
  const expected = end ? [known, ...cumsum(forecast.slice(0, ahead), (day) => Number(day.expected_cost)).map((sum) => known + sum)] : []

  const x = scaleLinear([0, Math.max(1, count - 1)], [plot.left, plot.width - plot.right])
  const y = amountScale([known, ...before, end?.high ?? 0], plot, 4)
  // The interval opens from what is known to what the month's end allows for, around what is expected.
  const cone = (bound: 'low' | 'high') =>
    expected.map((sum, index) => sum + (end ? end[bound] - end.middle : 0) * (index / Math.max(1, expected.length - 1)))
  const band = area<number>().x((_, index) => x(last + index)).y0((_, index) => y(cone('low')[index] ?? 0)).y1((high) => y(high))
  const path = (values: ArrayLike<number>, from = 0) => line<number>().x((_, index) => x(from + index)).y((value) => y(value))([...Array.from(values)]) ?? ''
  const labels = endLabels([
    ...(end && monthEnd ? [{ y: y(end.middle), text: `${short(monthEnd.expected_cost, currency)} forecast`, strong: true }] : [{ y: y(known), text: short(total, currency), strong: true }]),
    ...(previous !== null && before.length > 0 ? [{ y: y(before.at(-1) ?? 0), text: `${short(previous, currency)} before`, strong: false }] : []),
  ])

  return (
    <div ref={ref} className="chart chart-alone" role="img" aria-label={`${title}: ${short(total, currency)} so far${previous === null ? '' : `, ${short(previous, currency)} ${previousWords}`}`}>
      {width > 0 && (
        <svg width={width} height={plot.height} aria-hidden="true">
          <AmountAxis y={y} plot={plot} currency={currency} />
          <g className="axis">
            {Array.from({ length: count }, (_, index) => index + 1).filter((n) => n === 1 || n % (count > 45 ? 15 : 5) === 0).map((n) => (
              <text key={n} x={x(n - 1)} y={plot.height - 6} textAnchor="middle">{n}</text>
            ))}
          </g>
          {before.length > 0 && <path className="grown-before" d={path(before)} />}
          {end && (
            <g className="forecast">
              <path className="band" d={band(cone('high')) ?? ''} />
              <path className="expected" d={path(expected, last)} />
            </g>
          )}
          <path className="grown" d={path(now)} />
          <circle className="grown-end" cx={x(last)} cy={y(known)} r="3.5" />
          {labels.map(({ y: at, text, strong }) => (
            <text key={text} className={strong ? 'end-label strong' : 'end-label'} x={plot.width - plot.right + 6} y={at} dy="0.32em">{text}</text>
          ))}
        </svg>
      )}
    </div>
  )
}

type EndLabel = { y: number; text: string; strong: boolean }

/** Labels at the end of lines that end close to each other, moved apart. */
function endLabels(labels: EndLabel[]): EndLabel[] {
  const sorted = [...labels].sort((a, b) => a.y - b.y)
  return sorted.map((label, index) => ({ ...label, y: Math.max(label.y, (sorted[index - 1]?.y ?? -20) + 16) }))
}
