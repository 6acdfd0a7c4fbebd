import { expect, test } from 'vitest'
import { cents, change, money, perDay, share, short, tick } from './money'

test.each([
  ['387816.4921', 'USD', '$387,816'],
  ['-803.5', 'USD', '−$804'],
  ['0', 'USD', '$0'],
  ['3.456', 'USD', '$3.46'],
  ['-0.004', 'USD', '$0.00'],
  ['9.996', 'EUR', '€10'],
  ['1234567.5', 'CHF', 'CHF 1,234,568'],
])('%s %s reads %s', (amount, currency, expected) => {
  expect(money(amount, currency)).toBe(expected)
})

test('evidence always shows cents', () => {
  expect(cents('6165.125', 'USD')).toBe('$6,165.13')
  expect(cents('-0.001', 'USD')).toBe('$0.00')
})

test.each([
  ['568999.99', '$569k'],
  ['9999.4', '$9,999'],
  ['-12499', '−$12k'],
  ['12600000', '$13M'],
])('in ranges %s reads %s', (amount, expected) => {
  expect(short(amount, 'USD')).toBe(expected)
})

test.each([
  [25000, '$25k'],
  [2500, '$2.5k'],
  [0, '$0'],
  [-500, '−$500'],
  [1250000, '$1.25M'],
])('the tick at %d reads %s', (value, expected) => {
  expect(tick(value, 'USD')).toBe(expected)
})

test.each([
  ['122841', '121431', '+$1,410', '+1.2%', 'up'],
  ['38200', '39004', '−$804', '−2.1%', 'down'],
  ['1500', '0', '+$1,500', 'new', 'up'],
  ['0', '16794.47', '−$16,794', '−100.0%', 'down'],
  ['0', '0', '$0', null, 'same'],
  ['5', '5', '$0', '0.0%', 'same'],
  ['100000.4', '100000', '+$0.40', '+<0.1%', 'up'],
])('from %s after %s', (now, before, amount, percent, direction) => {
  expect(change(now, before, 'USD')).toEqual({ amount, percent, direction })
})

test('a share is of the whole', () => {
  expect(share('125135.05', '360810.17')).toBe('34.7%')
  expect(share('-1', '8')).toBe('−12.5%')
  expect(share('1', '0')).toBe('')
})

test('a mean is rounded once', () => {
  expect(perDay('391760', 20, 'USD')).toBe('$19,588')
  expect(perDay('100', 3, 'USD')).toBe('$33')
})
