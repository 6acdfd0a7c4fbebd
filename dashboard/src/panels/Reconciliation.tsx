import type { Meta } from '../api/types'
import { invoiceMonthLink } from '../lib/dagster'
import { invoiceMonthText } from '../lib/days'
import { cents } from '../lib/money'
import { type ClosedMonth, lastClosedMonth } from '../lib/reconciled'
import { Badge } from '../parts/Badge'

/** Whether the last closed month adds up to its invoices. */
export function Reconciliation({ meta, currency }: { meta: Meta; currency: string }) {
  const last = lastClosedMonth(meta, currency)
  if (!last) return <Badge good={false} mark="check" title="Not reconciled" detail="no month is closed yet" href={null} />
  const good = last.off.length === 0 && last.without === 0
  return (
    <Badge
      good={good}
      mark="check"
      title={good ? 'Reconciled' : 'Not reconciled'}
      detail={detailOf(last, currency)}
      href={meta.dagster_url ? invoiceMonthLink(meta.dagster_url, last.month) : null}
    />
  )
}

function detailOf({ month, off, without }: ClosedMonth, currency: string): string {
  const name = invoiceMonthText(month)
  if (off.length === 0 && without > 0) return `no invoice of ${name} yet`
  return `${off.length === 0 ? cents('0', currency) : off.map((residual) => cents(residual, currency)).join(', ')} off invoice, ${name}`
}
