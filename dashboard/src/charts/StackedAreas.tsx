import type { ScaleLinear } from 'd3-scale'
import { area, type SeriesPoint } from 'd3-shape'
import type { Column } from '../lib/columns'
import { Arriving } from './Arriving'
import type { ChartModel } from './model'
import type { Layer } from './scales'

type Props = {
  model: ChartModel
  layers: Layer[]
  x: (index: number) => number
  y: ScaleLinear<number, number>
  step: number
  highlight: string | null
}

/** Straight from day to day: the sum of a day is no curve. A day that was never built leaves a gap. */
export function StackedAreas({ model, layers, x, y, step, highlight }: Props) {
  const { columns, colours } = model
  const first = columns.findIndex(({ phase }) => phase === 'period')
  const between = (from: number, to: number) =>
    area<SeriesPoint<Column>>()
      .defined(({ data }, index) => index >= from && index <= to && !data.missing)
      .x((_, index) => x(index))
      .y0(([low]) => y(low))
      .y1(([, high]) => y(high))
  const last = columns.findLastIndex(({ phase }) => phase === 'period')
  const context = between(0, first)
  const period = between(first, last)
  return (
    <>
      {layers.map((layer) => {
        const faded = highlight !== null && highlight !== layer.key ? ' faded' : ''
        return (
          <g key={layer.key} className={`layer ${colours.get(layer.key) ?? ''}${faded}`}>
            {first > 0 && <path className="context" d={context(layer) ?? ''} />}
            <path d={period(layer) ?? ''} />
          </g>
        )
      })}
      <Arriving columns={columns} x={x} y={y} width={Math.max(5, Math.min(14, step * 0.8))} />
    </>
  )
}
