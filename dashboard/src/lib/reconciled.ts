import type { Meta } from '../api/types'
import { isZero } from './money'

type Month = Meta['invoice_months'][number]

export type ClosedMonth = {
  month: string
  /** What is left of the invoices that are not met, one an account. */
  off: string[]
  /** Accounts whose invoice nobody handed in yet. */
  without: number
}

/** The last closed month of a currency, and how far it is from its invoices. */
export function lastClosedMonth({ invoice_months }: Pick<Meta, 'invoice_months'>, currency: string): ClosedMonth | null {
  const closed = invoice_months.filter((one) => one.state === 'closed' && one.billing_currency === currency)
  const month = closed.map(({ invoice_month }) => invoice_month).sort().at(-1)
  if (!month) return null
  const residuals = closed.filter((one: Month) => one.invoice_month === month).map(({ residual }) => residual)
  const known = residuals.filter((residual) => residual !== null)
  return { month, off: known.filter((residual) => !isZero(residual)), without: residuals.length - known.length }
}
