import { rangeText } from '../lib/days'
import { plusDays } from '../lib/days'
import type { ChartModel } from './model'

type Props = { model: ChartModel; setHighlight: (member: string | null) => void }

/** Which colour is whose. Pointing at one fades the others. */
export function Legend({ model: { members, colours, columns }, setHighlight }: Props) {
  const arriving = columns.filter(({ phase }) => phase === 'arriving').map(({ day }) => day)
  const [first, last] = [arriving[0], arriving.at(-1)]
  return (
    <ul className="legend" onPointerLeave={() => setHighlight(null)}>
      {members.map(({ id, name }) => (
        <li key={id} onPointerEnter={() => setHighlight(id)}>
          <i className={`swatch ${colours.get(id) ?? ''}`} />
          {name}
        </li>
      ))}
      {first && last && (
        <li className="legend-note">
          <svg className="swatch-hatched" viewBox="0 0 12 12" aria-hidden="true"><path d="M.5.5h11v11H.5zM1 7l6-6M1 11L11 1M5 11l6-6" /></svg>
          {rangeText(first, plusDays(last, 1))}, still arriving
        </li>
      )}
    </ul>
  )
}
