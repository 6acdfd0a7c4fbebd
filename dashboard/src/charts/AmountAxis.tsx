import type { ScaleLinear } from 'd3-scale'
import { tick } from '../lib/money'
import type { Plot } from './scales'

/** Amounts at the left, with a line across the plot at each. */
export function AmountAxis({ y, plot, currency }: { y: ScaleLinear<number, number>; plot: Plot; currency: string }) {
  return (
    <g className="axis">
      {y.ticks(5).map((value) => (
        <g key={value}>
          <line x1={plot.left} x2={plot.width - plot.right} y1={y(value)} y2={y(value)} />
          <text x={plot.left - 8} y={y(value)} dy="0.32em" textAnchor="end">{tick(value, currency)}</text>
        </g>
      ))}
    </g>
  )
}
