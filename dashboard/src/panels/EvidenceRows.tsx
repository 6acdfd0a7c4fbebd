import type { Evidence } from '../api/types'
import { dayText } from '../lib/days'
import { cents } from '../lib/money'
import { counted } from '../lib/words'

type Props = { data: Evidence; rows: Evidence['rows'] }

/** The charges behind a number, the largest first, and the sum of all of them, shown or not. */
export function EvidenceRows({ data, rows }: Props) {
  const currency = data.cell?.billing_currency ?? data.currency ?? ''
  const all = data.row_count === 1 ? 'Sum of the row' : 'Sum of all rows'
  return (
    <table className="evidence-rows">
      {data.charge_count > data.row_count && (
        <caption>Copied by day: these {counted(data.row_count, 'row')} stand for {counted(data.charge_count, 'row')} of the export.</caption>
      )}
      <thead>
        <tr>
          <th scope="col">Usage day</th>
          <th scope="col">SKU</th>
          <th scope="col">Project</th>
          <th scope="col" className="number">Cost</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.row}>
            <td>{dayText(row.usage_day)}</td>
            <td>{row.sku_description ?? row.service_name ?? row.cost_type}</td>
            <td>{row.project_name ?? row.project ?? 'none'}</td>
            <td className="number">{cents(row.value, currency)}</td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row" colSpan={3}>{rows.length < data.row_count ? `${rows.length} of ${counted(data.row_count, 'row')} shown. ${all}` : all}</th>
          <td className="number">{cents(data.rows_sum, currency)}</td>
        </tr>
      </tfoot>
    </table>
  )
}
