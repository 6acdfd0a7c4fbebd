import { expect, test } from 'vitest'
import type { CostRow } from '../api/costs'
import { costCsv } from './csv'

const row = (id: string, name: string, amount: string): CostRow => ({ day: null, amount, previous: '-1.50', estimated: false, member: { id, name, others: 0 } })

test('every digit is in the file, and no name is run as a formula', () => {
  const rows = [row('a', '=cmd|calc', '1.234567'), row('b', 'say "hi", twice', '-0.1')]

  expect(costCsv(rows, { amount: '1.134567', previous: null }, { by: 'service', metric: 'cost', currency: 'USD' })).toBe(
    'service,service_name,billing_currency,cost,previous_cost\r\n' +
      "a,'=cmd|calc,USD,1.234567,-1.50\r\n" +
      'b,"say ""hi"", twice",USD,-0.1,-1.50\r\n' +
      '(total),,USD,1.134567,\r\n',
  )
})
