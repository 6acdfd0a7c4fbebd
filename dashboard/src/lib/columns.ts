/** From the API's rows to the days a chart draws: each day once, with the amount of every member. */

import type { CostRow, Member } from '../api/costs'
import { type Day, daysBetween, daysOf, plusDays } from './days'
import type { Window } from './period'

export type Column = {
  day: Day
  /** `context`: before the period. `arriving`: after the last complete day, in no total. */
  phase: 'context' | 'period' | 'arriving'
  total: string
  /** By member id; a member without charges that day has none. */
  amounts: Record<string, string>
  /** Whether the day was never built: not a day that cost nothing. */
  missing: boolean
}

export type Asked = { window: Window; firstDay: Day; missing: Day[] }

/** The columns of a chart, oldest first. `rows` and `totals` carry the period before as their `previous`. */
export function columnsOf(rows: CostRow[], totals: CostRow[], { window, firstDay, missing }: Asked): Column[] {
  const start = window.previousStart < firstDay ? firstDay : window.previousStart
  const length = daysBetween(window.start, window.end)
  const columns = new Map(
    daysOf(start, window.drawnEnd).map((day): [Day, Column] => [day, {
      day,
      phase: day < window.start ? 'context' : day < window.end ? 'period' : 'arriving',
      total: '0',
      amounts: {},
      missing: missing.includes(day),
    }]),
  )
  const eachDay = (given: CostRow[], put: (column: Column, member: Member, amount: string) => void): void => {
    for (const { day, member, amount, previous } of given) {
      if (day === null) continue
      const now = columns.get(day)
      if (now) put(now, member, amount)
      const before = columns.get(plusDays(day, -length))
      if (before?.phase === 'context' && previous !== null) put(before, member, previous)
    }
  }
  eachDay(rows, (column, member, amount) => {
    column.amounts[member.id] = amount
  })
  eachDay(totals, (column, _, amount) => {
    column.total = amount
  })
  return [...columns.values()]
}
