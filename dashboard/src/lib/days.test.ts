import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { dayText, daysBetween, daysOf, isDay, monthStart, nextMonth, plusDays, rangeText, timeText, weekdayText } from './days'

// A day is a name. Wherever the reader sits it must stay the same day, also in the night a clock is changed.
describe.each(['UTC', 'Asia/Singapore', 'America/New_York', 'Pacific/Apia'])('in %s', (zone) => {
  beforeAll(() => void vi.stubEnv('TZ', zone))
  afterAll(() => void vi.unstubAllEnvs())

  test('days are counted and named as the API names them', () => {
    expect(plusDays('2026-10-31', 1)).toBe('2026-11-01')
    expect(plusDays('2026-03-01', -1)).toBe('2026-02-28')
    expect(daysBetween('2026-10-24', '2026-11-02')).toBe(9)
    expect(daysOf('2026-02-27', '2026-03-02')).toEqual(['2026-02-27', '2026-02-28', '2026-03-01'])
    expect(weekdayText('2026-10-15')).toBe('Thu 15 Oct')
    expect(dayText('2026-09-01')).toBe('1 Sep')
    expect(timeText('2026-11-24T17:01:49.843831Z')).toBe('17:01 UTC')
  })
})

test('months begin and end where the calendar says', () => {
  expect(monthStart('2026-11-20')).toBe('2026-11-01')
  expect(nextMonth('2026-12-31')).toBe('2027-01-01')
  expect(nextMonth('2026-01-30')).toBe('2026-02-01')
})

test.each([
  ['2026-11-01', '2026-11-21', '1 – 20 Nov'],
  ['2026-10-28', '2026-11-04', '28 Oct – 3 Nov'],
  ['2026-11-01', '2026-11-02', '1 Nov'],
])('%s to before %s reads %s', (start, end, expected) => {
  expect(rangeText(start, end)).toBe(expected)
})

test.each([['2026-02-28', true], ['2026-02-29', false], ['2026-2-1', false], ['', false], ['2026-13-01', false]])('%j is a day: %s', (text, expected) => {
  expect(isDay(text)).toBe(expected)
})
