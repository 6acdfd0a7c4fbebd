import { expect, test } from 'vitest'
import { windowOf } from './period'
import type { Period } from './view'

const held = { complete_through: '2026-11-20', first_usage_day: '2026-08-25', last_usage_day: '2026-11-22' }

test.each<[Period, string, string, string, string]>([
  ['mtd', '2026-11-01', '2026-11-21', '2026-11-23', '2026-10-12'],
  ['7d', '2026-11-14', '2026-11-21', '2026-11-23', '2026-11-07'],
  ['lastmonth', '2026-10-01', '2026-11-01', '2026-11-01', '2026-08-31'],
  [{ from: '2026-11-10', to: '2026-11-30' }, '2026-11-10', '2026-11-21', '2026-11-23', '2026-10-30'],
  [{ from: '2026-10-01', to: '2026-10-07' }, '2026-10-01', '2026-10-08', '2026-10-08', '2026-09-24'],
])('%o counts complete days only', (period, start, end, drawnEnd, previousStart) => {
  expect(windowOf(period, held)).toMatchObject({ start, end, drawnEnd, previousStart })
})

test('a period after the last complete day is never empty', () => {
  expect(windowOf({ from: '2026-12-01', to: '2026-12-05' }, held)).toMatchObject({ start: '2026-12-01', end: '2026-12-02' })
})
