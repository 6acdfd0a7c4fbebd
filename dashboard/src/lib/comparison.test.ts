import { expect, test } from 'vitest'
import { comparisonOf, monthBefore } from './comparison'
import { windowOf } from './period'

test.each([
  ['2026-11-01', '2026-11-22', '2026-10-01', '2026-10-22'],
  ['2026-10-01', '2026-11-01', '2026-09-01', '2026-10-01'],
  ['2026-03-01', '2026-04-01', '2026-02-01', '2026-03-01'],
  ['2026-03-31', '2026-04-03', '2026-02-28', '2026-03-03'],
  ['2026-01-05', '2026-01-06', '2025-12-05', '2025-12-06'],
])('%s to before %s beside %s to before %s', (start, end, first, after) => {
  expect(monthBefore({ start, end })).toEqual({ start: first, end: after })
})

test('a month is compared with a month, other periods with the days just before', () => {
  const held = { complete_through: '2026-11-20', first_usage_day: '2026-08-25', last_usage_day: '2026-11-22' }

  expect(comparisonOf({ compare: null, period: 'mtd' }, windowOf('mtd', held))).toMatchObject({ how: 'month', start: '2026-10-01', end: '2026-10-21' })
  expect(comparisonOf({ compare: null, period: '7d' }, windowOf('7d', held))).toMatchObject({ how: 'previous', start: '2026-11-07', end: '2026-11-14' })
  expect(comparisonOf({ compare: 'previous', period: 'mtd' }, windowOf('mtd', held))).toMatchObject({ how: 'previous', start: '2026-10-12', end: '2026-11-01' })
  expect(comparisonOf({ compare: 'none', period: 'mtd' }, windowOf('mtd', held)).how).toBe('none')
})
