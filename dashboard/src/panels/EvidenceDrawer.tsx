import { download } from '../api/client'
import { useEvidence } from '../api/queries'
import type { Evidence, EvidenceQuery } from '../api/types'
import { timeText } from '../lib/days'
import { type EvidenceRef, evidenceKey } from '../lib/evidenceRef'
import { exact } from '../lib/facts'
import { counted } from '../lib/words'
import { Drawer } from '../parts/Drawer'
import { Failed, Loading } from '../parts/PanelState'
import { EvidenceRows } from './EvidenceRows'
import { Formula } from './Formula'

/** What a number is made of, added up again while you look. */
export function EvidenceDrawer({ evidence, close }: { evidence: EvidenceRef; close: () => void }) {
  const query = queryOf(evidence)
  const found = useEvidence(query)
  const data = found.data?.pages[0]
  const rows = found.data?.pages.flatMap((page) => page.rows) ?? []
  const title = data ? `Evidence for ${data.value === null ? data.formatted : exact(data.value, data.unit, data.currency)}` : 'Evidence'
  return (
    <Drawer title={title} close={close} opener={evidenceKey(evidence)}>
      {found.error && !data && <Failed what="The evidence" error={found.error} again={() => void found.refetch()} />}
      {!data && found.isPending && <Loading what="the evidence" />}
      {data && (
        <>
          <p className="definition">{data.label}</p>
          {data.formula.length > 0 && <Formula parts={data.formula} />}
          <Verdict data={data} />
          {rows.length > 0 && <EvidenceRows data={data} rows={rows} />}
          <div className="buttons">
            {found.hasNextPage && (
              <button type="button" className="primary" disabled={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>Show more</button>
            )}
            {data.row_count > 0 && (
              <button type="button" className="secondary" onClick={() => void download(`/v1/evidence.csv?${csvQuery(query)}`, 'charges.csv')}>
                Download {counted(data.row_count, 'row')} (CSV)
              </button>
            )}
          </div>
        </>
      )}
    </Drawer>
  )
}

function Verdict({ data }: { data: Evidence }) {
  const from = data.row_count > 0 ? `Recomputed from ${counted(data.row_count, 'row')}` : 'Read again from where it is stored'
  return (
    <p className={data.matches ? 'verdict' : 'verdict verdict-bad'}>
      {from} at {timeText(data.recomputed_at)}. {data.matches ? 'Matches.' : `Does not match what was served: ${exact(data.served_value ?? '0', data.unit, data.currency)}.`}
    </p>
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
