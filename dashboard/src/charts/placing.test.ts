import { expect, test } from 'vitest'
import { placeMarks } from './placing'

test('marks of neighbouring days never cover each other', () => {
  const spots = placeMarks(Array.from({ length: 30 }, (_, n) => ({ x: 100 + (n % 6) * 8, lowest: 90 + (n % 3) * 10 })), 24)

  expect(spots).toHaveLength(30)
  for (const [n, one] of spots.entries()) {
    expect(one.top).toBeGreaterThanOrEqual(0)
    for (const other of spots.slice(n + 1)) {
      expect(Math.abs(one.left - other.left) >= 24 || Math.abs(one.top - other.top) >= 24).toBe(true)
    }
  }
})

test('a mark alone stands over its day', () => {
  expect(placeMarks([{ x: 100, lowest: 50 }], 24)).toEqual([{ left: 88, top: 50 }])
})
