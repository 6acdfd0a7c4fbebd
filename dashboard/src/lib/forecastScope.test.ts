import { expect, test } from 'vitest'
import { forecastScope } from './forecastScope'

test('only what a forecast covers exactly gets one', () => {
  const of = (filters: Parameters<typeof forecastScope>[0]['filters'], metric: 'billed_cost' | 'list_cost' = 'billed_cost') => forecastScope({ filters, metric }, 'USD')

  expect(of({})).toEqual({ scope: 'total', billing_currency: ['USD'] })
  expect(of({ project: ['a'] })).toEqual({ scope: 'project', member: ['a'], billing_currency: ['USD'] })
  expect(of({ project: ['a', 'b'] })).toBeNull()
  expect(of({ project: ['a'], service: ['b'] })).toBeNull()
  expect(of({ region: ['a'] })).toBeNull()
  expect(of({}, 'list_cost')).toBeNull()
})
