import { type Day, dayText } from '../lib/days'
import { labelledDays, type Plot } from './scales'

type Props = { days: Day[]; x: (index: number) => number; step: number; anchor: number; plot: Plot }

/** Days below the plot. One of the labels is the first day of the period. */
export function DayAxis({ days, x, step, anchor, plot }: Props) {
  const shown = labelledDays(days.length, Math.max(0, anchor), step, 58)
  return (
    <g className="axis">
      {shown.map((index) => {
        const near = x(index)
        const anchored = near < plot.left + 18 ? 'start' : near > plot.width - 22 ? 'end' : 'middle'
        return (
          <text key={index} x={near} y={plot.height - 6} textAnchor={anchored}>{dayText(days[index] ?? '')}</text>
        )
      })}
    </g>
  )
}
