import type { Recommendation } from '../api/types'
import type { EvidenceRef } from '../lib/evidenceRef'
import { money } from '../lib/money'
import { Drawer } from '../parts/Drawer'
import { Figure } from '../parts/Figure'
import { Failed, Loading } from '../parts/PanelState'
import type { Overview } from './useOverview'

type Props = { overview: Overview; open: (evidence: EvidenceRef) => void; close: () => void }

/** What could be saved, and how sure that is. */
export function SavingsDrawer({ overview: { recommendations, currency }, open, close }: Props) {
  const { data, error } = recommendations
  const total = data?.meta.totals.find((one) => one.billing_currency === currency)
  return (
    <Drawer title="Possible savings a month" close={close} opener="savings">
      {error && !data && <Failed what="The recommendations" error={error} again={() => void recommendations.refetch()} />}
      {!data && recommendations.isPending && <Loading what="recommendations" />}
      {total && (
        <>
          <p className="definition">If every counted recommendation is followed and use stays as it was. Of those that exclude each other only the largest is counted.</p>
          <Estimate low={total.monthly_saving_low} mid={total.monthly_saving_mid} high={total.monthly_saving_high} currency={currency} />
        </>
      )}
      {data?.items.map((item) => <Saving key={item.recommendation_id} item={item} open={open} />)}
      {data?.items.length === 0 && <p className="definition">No rule found anything to save here.</p>}
    </Drawer>
  )
}

function Saving({ item, open }: { item: Recommendation; open: (evidence: EvidenceRef) => void }) {
  const where = [item.service_name, item.project_name ?? item.project, item.region].filter((one) => one !== null)
  return (
    <article className="saving">
      <h3>{item.title}</h3>
      <p className="saving-where">{where.join(' · ')}</p>
      <Estimate low={item.monthly_saving_low} mid={item.monthly_saving_mid} high={item.monthly_saving_high} currency={item.billing_currency} />
      <p>
        <strong>{CONFIDENCE[item.confidence]}.</strong> {item.assumption}
        {!item.counted && ' Not in the total: a larger one excludes it.'}
      </p>
      <ul className="saving-evidence">
        {item.evidence.map((fact) => (
          <li key={fact.id}>
            {fact.label}:{' '}
            {fact.value === null || fact.source.kind === 'given' ? (
              <b>{fact.formatted}</b>
            ) : (
              <Figure evidence={{ kind: 'saving', id: item.recommendation_id, fact: fact.id }} open={open} label={`${fact.label}: what it is made of`}>
                {fact.formatted}
              </Figure>
            )}
          </li>
        ))}
      </ul>
    </article>
  )
}

const CONFIDENCE = { high: 'High confidence', medium: 'Medium confidence', low: 'Low confidence' } as const

function Estimate({ low, mid, high, currency }: { low: string; mid: string; high: string; currency: string }) {
  return (
    <dl className="estimate">
      <div><dt>Low</dt><dd>{money(low, currency)}</dd></div>
      <div className="estimate-mid"><dt>Likely</dt><dd>{money(mid, currency)}</dd></div>
      <div><dt>High</dt><dd>{money(high, currency)}</dd></div>
    </dl>
  )
}
