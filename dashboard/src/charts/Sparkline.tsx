import { scaleLinear } from 'd3-scale'
import { line } from 'd3-shape'

const WIDTH = 96
const HEIGHT = 20

/** The shape of the last complete days, stretched over its own range: it has no axis and claims no size. */
export function Sparkline({ amounts, colour }: { amounts: number[]; colour: string }) {
  if (amounts.length < 2) return null
  const [low, high] = [Math.min(...amounts), Math.max(...amounts)]
  const y = scaleLinear(high > low ? [low, high] : [low - 1, high + 1], [HEIGHT - 3, 3])
  const x = scaleLinear([0, amounts.length - 1], [2, WIDTH - 4])
  const path = line<number>().x((_, index) => x(index)).y((value) => y(value))(amounts)
  return (
    <svg className={`sparkline ${colour}`} width={WIDTH} height={HEIGHT} aria-hidden="true">
      <path d={path ?? ''} />
      <circle cx={x(amounts.length - 1)} cy={y(amounts.at(-1) ?? 0)} r="2" />
    </svg>
  )
}
