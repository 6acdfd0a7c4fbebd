import type { ScaleLinear } from 'd3-scale'
import { area, line } from 'd3-shape'
import type { Day } from '../lib/days'
import type { ChartModel } from './model'

type Props = { model: ChartModel; days: Day[]; x: (index: number) => number; y: ScaleLinear<number, number> }
type Point = { index: number; expected: number; low: number; high: number }

/** What is expected after the last complete day: it starts there, not at the half-loaded day after it. */
export function ForecastBand({ model, days, x, y }: Props) {
  const { columns, forecast } = model
  if (forecast.length === 0) return null
  const last = columns.findLastIndex(({ phase }) => phase === 'period')
  const known = Number(columns[last]?.total ?? 0)
  const points: Point[] = [
    { index: last, expected: known, low: known, high: known },
    ...forecast.map((day) => ({
      index: days.indexOf(day.usage_day),
      expected: Number(day.expected_cost),
      low: Number(day.low_80),
      high: Number(day.high_80),
    })),
  ]
  const band = area<Point>().x(({ index }) => x(index)).y0(({ low }) => y(low)).y1(({ high }) => y(high))
  const middle = line<Point>().x(({ index }) => x(index)).y(({ expected }) => y(expected))
  return (
    <g className="forecast">
      <path className="band" d={band(points) ?? ''} />
      <path className="expected" d={middle(points) ?? ''} />
    </g>
  )
}
