import type { ScaleLinear } from 'd3-scale'
import { evidenceKey } from '../lib/evidenceRef'
import type { Day } from '../lib/days'
import type { ChartModel, Mark } from './model'

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
export function Marks({ model, days, x, y, open }: Props) {
  const onDay = new Map<Day, number>()
  return (
    <>
      {model.marks.map((mark) => {
        const index = days.indexOf(mark.day)
        const column = model.columns[index]
        if (!column) return null
        const earlier = onDay.get(mark.day) ?? 0
        onDay.set(mark.day, earlier + 1)
        // On top of each other while there is room, then beside.
        const lowest = y(Number(column.total)) - ABOVE - SIZE / 2
        const room = Math.max(1, Math.floor(lowest / SIZE) + 1)
        const left = x(index) - SIZE / 2 + Math.floor(earlier / room) * SIZE
        return <Diamond key={mark.anomalyId} mark={mark} left={left} top={Math.max(0, lowest - (earlier % room) * SIZE)} open={open} />
      })}
    </>
  )
}

function Diamond({ mark, left, top, open }: { mark: Mark; left: number; top: number; open: (anomalyId: string) => void }) {
  return (
    <button
      type="button"
      className={mark.explained ? 'mark explained' : 'mark'}
      style={{ left, top }}
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
