import { expect, test } from 'vitest'
import type { Meta } from '../api/types'
import { lastClosedMonth } from './reconciled'

const month = (invoice_month: string, state: 'open' | 'closed', residual: string | null, billing_currency = 'USD'): Meta['invoice_months'][number] => ({
  invoice_month, state, residual, billing_currency, billing_account_id: 'A', billed_cost: '1', invoice_total: null,
})

test('the last closed month of the currency counts', () => {
  const invoice_months = [month('202610', 'closed', '0.00'), month('202611', 'open', null), month('202609', 'closed', '5'), month('202610', 'closed', '7', 'EUR')]

  expect(lastClosedMonth({ invoice_months }, 'USD')).toEqual({ month: '202610', off: [], without: 0 })
  expect(lastClosedMonth({ invoice_months }, 'EUR')).toEqual({ month: '202610', off: ['7'], without: 0 })
  expect(lastClosedMonth({ invoice_months }, 'JPY')).toBeNull()
})

test('an invoice nobody handed in is no proof', () => {
  expect(lastClosedMonth({ invoice_months: [month('202610', 'closed', null), month('202610', 'closed', '0')] }, 'USD')).toEqual({ month: '202610', off: [], without: 1 })
})
