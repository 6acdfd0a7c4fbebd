import type { AnomalyPage, Meta } from '../api/types'
import { dayText } from '../lib/days'
import type { EvidenceRef } from '../lib/evidenceRef'
import { money } from '../lib/money'
import { counted } from '../lib/words'
import { Failed, Loading } from '../parts/PanelState'
import { InsightCard } from './InsightCard'
import { Provenance } from './Provenance'
import { inReadingOrder, insightNumbers, type Overview } from './useOverview'

type Props = { meta: Meta; overview: Overview; open: (evidence: EvidenceRef) => void }

/** What was unusual, in sentences whose every figure can be opened. */
export function InsightsPanel({ meta, overview: { insights, anomalies, window, currency }, open }: Props) {
  const items = inReadingOrder(insights.data?.items ?? [])
  const withheld = insights.data?.meta.withheld ?? 0
  const numbers = insightNumbers(items)
  return (
    <section className="panel insights" aria-label="Insights">
      <div className={insights.isPlaceholderData ? 'insights-scroll refreshing' : 'insights-scroll'}>
        <header className="panel-head">
          <h2>Insights</h2>
          {items.length > 0 && <span className="head-note">{counted(items.length, 'insight')} to {dayText(meta.complete_through)}</span>}
        </header>
        <div className="insight-list">
          {insights.error && !insights.data && <Failed what="Insights" error={insights.error} again={() => void insights.refetch()} />}
          {insights.isPending && <Loading what="insights" />}
          {items.map((insight) => (
            <InsightCard key={insight.insight_id} insight={insight} number={numbers.get(insight.insight_id) ?? null} open={open} />
          ))}
          {insights.data && items.length === 0 && (
            <p className="nothing-unusual">
              Nothing unusual from {dayText(window.start)} to {dayText(meta.complete_through)}.
              {anomalies.data && ` ${unusual(anomalies.data.meta.thresholds, currency)}`}
            </p>
          )}
          {withheld > 0 && <p className="nothing-unusual">{counted(withheld, 'insight')} withheld: a figure has moved since, and the text is being written again.</p>}
        </div>
        {items[0] && <Provenance insight={items[0]} dagsterUrl={meta.dagster_url} />}
      </div>
    </section>
  )
}

/** When a day would have been unusual: "nothing" means little without it. */
function unusual({ sensitivity, min_amount: amount, min_percent: percent }: AnomalyPage['meta']['thresholds'], currency: string): string {
  return `Unusual is a cost more than ${percent}% and ${money(amount, currency)} away from what is expected, and ${sensitivity} times as far as it usually is.`
}
