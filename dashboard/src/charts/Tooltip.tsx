import { type Day, weekdayText } from '../lib/days'
import { money } from '../lib/money'
import type { ChartModel } from './model'

const WIDTH = 216

/** The figures of one day, in the order of its layers. */
export function Tooltip({ model, day, x, width }: { model: ChartModel; day: Day; x: number; width: number }) {
  const { columns, members, colours, forecast, currency } = model
  const column = columns.find((one) => one.day === day)
  const expected = forecast.find((one) => one.usage_day === day)
  const left = x + 14 + WIDTH > width ? Math.max(0, x - 14 - WIDTH) : x + 14
  return (
    <div className="tooltip" style={{ left, width: WIDTH }} aria-hidden="true">
      <p className="tooltip-head">
        <span>{weekdayText(day)}</span>
        <span>{column && !column.missing ? money(column.total, currency) : ''}</span>
      </p>
      {column?.missing && <p>Not loaded: no zero, and in no total.</p>}
      {column?.phase === 'arriving' && <p className="tooltip-note">Still arriving, in no total</p>}
      {column && column.phase !== 'arriving' && (
        <ul>
          {[...members].reverse().map(({ id, name }) => {
            const amount = column.amounts[id]
            return amount === undefined ? null : (
              <li key={id}>
                <i className={`swatch ${colours.get(id) ?? ''}`} />
                <span className="tooltip-name">{name}</span>
                <span>{money(amount, currency)}</span>
              </li>
            )
          })}
        </ul>
      )}
      {expected && (
        <ul>
          <li><span className="tooltip-name">Expected</span><span>{money(expected.expected_cost, currency)}</span></li>
          <li><span className="tooltip-name">80% interval</span><span>{money(expected.low_80, currency)} to {money(expected.high_80, currency)}</span></li>
        </ul>
      )}
    </div>
  )
}
