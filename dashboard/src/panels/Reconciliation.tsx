import type { Meta } from '../api/types'
import { invoiceMonthLink } from '../lib/dagster'
import { invoiceMonthText } from '../lib/days'
import { cents } from '../lib/money'
import { lastClosedMonth } from '../lib/reconciled'
import { Badge } from '../parts/Badge'

/** Whether the last closed month adds up to its invoices. */
export function Reconciliation({ meta, currency }: { meta: Meta; currency: string }) {
  const last = lastClosedMonth(meta, currency)
  if (!last) return <Badge good={false} mark="check" title="Not reconciled" detail="no closed invoice yet" href={null} />
  const name = invoiceMonthText(last.month)
  const off = last.off.map(({ residual }) => cents(residual ?? '0', currency)).join(', ')
  return (
    <Badge
      good={last.off.length === 0}
      mark="check"
      title={last.off.length === 0 ? 'Reconciled' : 'Not reconciled'}
      detail={`${last.off.length === 0 ? cents('0', currency) : off} off invoice, ${name}`}
      href={meta.dagster_url ? invoiceMonthLink(meta.dagster_url, last.month) : null}
    />
  )
}
