import type { Meta } from '../api/types'
import { isZero } from './money'

type Month = Meta['invoice_months'][number]

/** The last closed month of a currency: which it is, and the accounts whose invoice is not met. */
export function lastClosedMonth({ invoice_months }: Pick<Meta, 'invoice_months'>, currency: string): { month: string; off: Month[] } | null {
  const closed = invoice_months.filter((one) => one.state === 'closed' && one.billing_currency === currency)
  const month = closed.map(({ invoice_month }) => invoice_month).sort().at(-1)
  if (!month) return null
  const off = closed.filter(({ invoice_month, residual }) => invoice_month === month && (residual === null || !isZero(residual)))
  return { month, off }
}
