import type { ScaleLinear } from 'd3-scale'
import { Arriving } from './Arriving'
import type { ChartModel } from './model'
import type { Layer } from './scales'

type Props = {
  model: ChartModel
  layers: Layer[]
  x: (index: number) => number
  y: ScaleLinear<number, number>
  width: number
  highlight: string | null
}

/** One bar a day, for periods too short to be a line. */
export function StackedBars({ model, layers, x, y, width, highlight }: Props) {
  const { columns, colours } = model
  return (
    <>
      {layers.map((layer) => {
        const faded = highlight !== null && highlight !== layer.key ? ' faded' : ''
        return (
          <g key={layer.key} className={`layer ${colours.get(layer.key) ?? ''}${faded}`}>
            {layer.map(([low, high], index) => {
              const phase = columns[index]?.phase
              if (phase === 'arriving' || columns[index]?.missing) return null
              return (
                <rect
                  key={columns[index]?.day}
                  className={phase === 'context' ? 'context' : undefined}
                  x={x(index) - width / 2}
                  y={y(high)}
                  width={width}
                  height={y(low) - y(high)}
                />
              )
            })}
          </g>
        )
      })}
      <Arriving columns={columns} x={x} y={y} width={width} />
    </>
  )
}
