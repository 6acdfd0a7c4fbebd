import { expect, test } from 'vitest'
import { exact } from './facts'

test.each([
  ['6165.125', 'currency', 'USD', '$6,165.13'],
  ['-83.1', 'percent', null, '−83.10%'],
  ['1', 'days', null, '1 day'],
  ['5', 'days', null, '5 days'],
  ['1204310', 'count', null, '1,204,310'],
])('%s %s is written in full', (value, unit, currency, expected) => {
  expect(exact(value, unit, currency)).toBe(expected)
})
