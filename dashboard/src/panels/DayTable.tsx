import type { ChartModel } from '../charts/model'
import { weekdayText } from '../lib/days'
import { money } from '../lib/money'

/** What the chart draws, as text: the same days, members and order, newest first. */
export function DayTable({ model: { columns, members, currency }, title }: { model: ChartModel; title: string }) {
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
      <table className="day-table">
        <thead>
          <tr>
            <th scope="col">Day</th>
            {members.map(({ id, name }) => <th key={id} scope="col" className="number">{name}</th>)}
            <th scope="col" className="number">Total</th>
          </tr>
        </thead>
        <tbody>
          {[...columns].reverse().map(({ day, phase, amounts, total, missing }) => (
            <tr key={day} className={phase}>
              <th scope="row">{weekdayText(day)}{phase === 'arriving' && <small> arriving</small>}</th>
              {members.map(({ id }) => <td key={id} className="number">{missing ? '' : money(amounts[id] ?? '0', currency)}</td>)}
              <td className="number total">{missing ? 'not loaded' : money(total, currency)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
