import { expect, test } from 'vitest'
import type { CostRow } from '../api/costs'
import { columnsOf } from './columns'
import { windowOf } from './period'

const held = { complete_through: '2026-11-03', first_usage_day: '2026-10-30', last_usage_day: '2026-11-04' }
const row = (day: string, amount: string, previous: string | null): CostRow => ({
  day, amount, previous, estimated: previous === null, member: { id: 'run', name: 'Cloud Run', others: 0 },
})
const rows = [row('2026-11-01', '1', '7'), row('2026-11-02', '2', '8'), row('2026-11-03', '3', '9'), row('2026-11-04', '0.4', null)]

test('every day is drawn once, with what is its own', () => {
  const columns = columnsOf(rows, rows, { window: windowOf('mtd', held), firstDay: held.first_usage_day, missing: ['2026-10-31'] })

  expect(columns.map(({ day, phase, total, missing }) => [day, phase, total, missing])).toEqual([
    // 29 October is before the first day there is.
    ['2026-10-30', 'context', '8', false],
    ['2026-10-31', 'context', '9', true],
    ['2026-11-01', 'period', '1', false],
    ['2026-11-02', 'period', '2', false],
    ['2026-11-03', 'period', '3', false],
    ['2026-11-04', 'arriving', '0.4', false],
  ])
  expect(columns.map(({ amounts }) => amounts['run'])).toEqual(['8', '9', '1', '2', '3', '0.4'])
})
