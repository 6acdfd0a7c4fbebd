import { expect, test } from 'vitest'
import { digits, minus, parse, percentOf, rounded } from './decimal'

test.each([
  ['0', 0, '0'],
  ['0.5', 0, '1'],
  ['-0.5', 0, '1'],
  ['0.49999999999999999999', 0, '0'],
  ['1234567.895', 2, '1,234,567.90'],
  ['9007199254740993.015', 2, '9,007,199,254,740,993.02'], // beyond what a float holds
  ['12', 2, '12.00'],
  ['999.995', 2, '1,000.00'],
  ['1E-7', 2, '0.00'],
  ['1.5E3', 0, '1,500'],
])('%s at %i decimals is %s', (text, places, expected) => {
  expect(digits(rounded(parse(text), places), places)).toBe(expected)
})

test.each(['', '1,000', 'NaN', 'Infinity', '1.', '.5', '0x1', ' 1'])('%j is no decimal', (text) => {
  expect(() => parse(text)).toThrow(RangeError)
})

test('a difference is exact where floats are not', () => {
  expect(minus(parse('0.3'), parse('0.1'))).toEqual({ units: 2n, places: 1 })
  expect(minus(parse('14288.58'), parse('8123.45'))).toEqual({ units: 616513n, places: 2 })
})

test('a share of a credit keeps the direction of the change', () => {
  expect(percentOf(parse('-5'), parse('-10'), 1)).toEqual({ units: -500n, places: 1 })
  expect(percentOf(parse('1'), parse('0'), 1)).toBeNull()
})
