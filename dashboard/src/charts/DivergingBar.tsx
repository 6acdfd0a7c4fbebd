const WIDTH = 96
const THICK = 11

/** How far an amount moved, beside the others: to the right for more, to the left for less. */
export function DivergingBar({ change, least, most }: { change: number; least: number; most: number }) {
  const span = most - least || 1
  const zero = (-least / span) * (WIDTH - 2) + 1
  const length = Math.max(1, (Math.abs(change) / span) * (WIDTH - 2))
  return (
    <svg className={change > 0 ? 'bar bar-up' : 'bar bar-down'} width={WIDTH} height={THICK} aria-hidden="true">
      <line x1={zero} x2={zero} y1="0" y2={THICK} />
      {change !== 0 && <rect x={change > 0 ? zero : zero - length} y="0" width={length} height={THICK} />}
    </svg>
  )
}
