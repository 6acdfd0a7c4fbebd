import type { ScaleLinear } from 'd3-scale'
import type { Day } from '../lib/days'
import { evidenceKey } from '../lib/evidenceRef'
import type { ChartModel, Mark } from './model'
import { placeMarks, type Spot } from './placing'

type Props = {
  model: ChartModel
  days: Day[]
  x: (index: number) => number
  y: ScaleLinear<number, number>
  open: (anomalyId: string) => void
}

const SIZE = 24
const ABOVE = 17

/** A diamond over the day of each anomaly. Its number is the number of the insight beside the chart. */
export function Marks({ model: { marks, columns }, days, x, y, open }: Props) {
  const drawn = marks.flatMap((mark) => {
    const index = days.indexOf(mark.day)
    const column = columns[index]
    return column ? [{ mark, x: x(index), lowest: y(Number(column.total)) - ABOVE - SIZE / 2 }] : []
  })
  const spots = placeMarks(drawn, SIZE)
  return drawn.map(({ mark }, index) => <Diamond key={mark.anomalyId} mark={mark} spot={spots[index]} open={open} />)
}

function Diamond({ mark, spot, open }: { mark: Mark; spot: Spot | undefined; open: (anomalyId: string) => void }) {
  return (
    <button
      type="button"
      className={mark.explained ? 'mark explained' : 'mark'}
      style={spot}
      aria-label={mark.label}
      title={mark.label}
      data-evidence={evidenceKey({ kind: 'anomaly', id: mark.anomalyId })}
      onClick={() => open(mark.anomalyId)}
    >
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d="M12 1.5L22.5 12 12 22.5 1.5 12z" />
        <text x="12" y="12" dy="0.35em" textAnchor="middle">{mark.number ?? '!'}</text>
      </svg>
    </button>
  )
}
