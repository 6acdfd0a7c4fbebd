import type { ScaleLinear } from 'd3-scale'
import type { Column } from '../lib/columns'

type Props = { columns: Column[]; x: (index: number) => number; y: ScaleLinear<number, number>; width: number }

/** Days whose charges are still coming in, hatched: an unfinished day is not a saving. */
export function Arriving({ columns, x, y, width }: Props) {
  return (
    <g className="arriving">
      <defs>
        <pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <line x1="0" x2="0" y1="0" y2="5" />
        </pattern>
      </defs>
      {columns.map(({ day, phase, total }, index) => {
        if (phase !== 'arriving') return null
        const top = y(Math.max(0, Number(total)))
        return <rect key={day} x={x(index) - width / 2} y={top} width={width} height={y(0) - top} />
      })}
    </g>
  )
}
