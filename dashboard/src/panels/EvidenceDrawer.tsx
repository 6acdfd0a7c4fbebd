import { useState } from 'react'
import { download } from '../api/client'
import { useEvidence } from '../api/queries'
import type { Evidence, EvidenceQuery } from '../api/types'
import { dayText, timeText } from '../lib/days'
import { type EvidenceRef, evidenceKey } from '../lib/evidenceRef'
import { exact } from '../lib/facts'
import { cents } from '../lib/money'
import { counted } from '../lib/words'
import { Drawer } from '../parts/Drawer'
import { Failed, Loading } from '../parts/PanelState'
import { Formula } from './Formula'

const PAGE = 50
const MOST = 200

/** What a number is made of, added up again while you look. */
export function EvidenceDrawer({ evidence, close }: { evidence: EvidenceRef; close: () => void }) {
  const [limit, setLimit] = useState(PAGE)
  const query = queryOf(evidence)
  const found = useEvidence({ ...query, limit })
  const data = found.data
  const title = data ? `Evidence for ${data.value === null ? data.formatted : exact(data.value, data.unit, data.currency)}` : 'Evidence'
  return (
    <Drawer title={title} close={close} opener={evidenceKey(evidence)}>
      {found.error && !data && <Failed what="The evidence" error={found.error} again={() => void found.refetch()} />}
      {!data && found.isPending && <Loading what="the evidence" />}
      {data && (
        <>
          <p className="definition">{data.label}</p>
          {data.formula.length > 0 && <Formula parts={data.formula} />}
          <p className={data.matches ? 'verdict' : 'verdict verdict-bad'}>
            {data.row_count > 0 ? `Recomputed from ${counted(data.row_count, 'row')}` : 'Recomputed'} at {timeText(data.recomputed_at)}.{' '}
            {data.matches ? 'Matches.' : `Does not match the ${exact(data.served_value ?? '0', data.unit, data.currency)} that was served.`}
          </p>
          {data.rows.length > 0 && <Rows data={data} />}
          <div className="buttons">
            {data.rows.length < data.row_count && data.rows.length < MOST && (
              <button type="button" className="primary" onClick={() => setLimit(Math.min(MOST, limit + PAGE))}>Show more</button>
            )}
            {data.row_count > 0 && (
              <button type="button" className="secondary" onClick={() => void download(`/v1/evidence.csv?${csvQuery(query)}`, 'evidence.csv')}>
                Download {counted(data.row_count, 'row')} (CSV)
              </button>
            )}
          </div>
        </>
      )}
    </Drawer>
  )
}

function Rows({ data }: { data: Evidence }) {
  const currency = data.cell?.billing_currency ?? data.currency ?? ''
  return (
    <table className="evidence-rows">
      <thead>
        <tr>
          <th scope="col">Usage day</th>
          <th scope="col">SKU</th>
          <th scope="col">Project</th>
          <th scope="col" className="number">Cost</th>
        </tr>
      </thead>
      <tbody>
        {data.rows.map((row) => (
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
          <th scope="row" colSpan={3}>
            {data.rows.length < data.row_count ? `${data.rows.length} of ${counted(data.row_count, 'row')} shown. Sum of all rows` : `Sum of ${data.row_count === 1 ? 'the row' : 'all rows'}`}
          </th>
          <td className="number">{cents(data.rows_sum, currency)}</td>
        </tr>
      </tfoot>
    </table>
  )
}

function queryOf(ref: EvidenceRef): EvidenceQuery {
  switch (ref.kind) {
    case 'cell':
      return { measure: ref.measure, start: ref.start, end: ref.end, billing_currency: ref.currency, ...ref.filters }
    case 'insight':
      return { insight_id: ref.id, fact_id: ref.fact }
    case 'anomaly':
      return { anomaly_id: ref.id }
    case 'saving':
      return { recommendation_id: ref.id, fact_id: ref.fact }
  }
}

function csvQuery(query: EvidenceQuery): string {
  const said = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== null && one !== undefined) said.append(key, String(one))
  }
  return said.toString()
}
