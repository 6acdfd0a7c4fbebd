import { expect, test } from 'vitest'
import { currencyOf } from './currency'

test.each([
  ['EUR', ['EUR', 'USD'], 'EUR'],
  ['JPY', ['EUR', 'USD'], 'USD'],
  [null, ['EUR', 'USD'], 'USD'],
  [null, ['EUR', 'GBP'], 'EUR'],
])('asked for %s of %j it shows %s', (asked, held, expected) => {
  expect(currencyOf(asked, held)).toBe(expected)
})
