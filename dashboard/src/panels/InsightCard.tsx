import type { Insight } from '../api/types'
import type { EvidenceRef } from '../lib/evidenceRef'
import { InsightText } from './InsightText'

type Props = { insight: Insight; number: number | null; open: (evidence: EvidenceRef) => void }

const IMPACT = { high: 'High impact', medium: 'Medium impact', low: 'Low impact' } as const

/** One insight. Its number is the number of the mark in the chart. */
export function InsightCard({ insight, number, open }: Props) {
  const { template, facts, severity, figures_verified: verified } = insight
  const text = (written: string) => <InsightText template={written} facts={facts} insightId={insight.insight_id} open={open} />
  return (
    <article className="insight">
      <h3>
        {number !== null && (
          <svg className="insight-number" viewBox="0 0 24 24" role="img" aria-label={`Mark ${number} in the chart`}>
            <path d="M12 1.5L22.5 12 12 22.5 1.5 12z" />
            <text x="12" y="12" dy="0.35em" textAnchor="middle">{number}</text>
          </svg>
        )}
        {text(template.headline)}
      </h3>
      <p>{text(template.body)}</p>
      {template.check && <p><strong>Check:</strong> {text(template.check)}</p>}
      <footer>
        {severity && <span className={`impact impact-${severity}`}>{IMPACT[severity]}</span>}
        <span>{verifiedText(verified)}</span>
      </footer>
    </article>
  )
}

function verifiedText(figures: number): string {
  if (figures === 1) return 'Its figure verified'
  return figures === 2 ? 'Both figures verified' : `All ${figures} figures verified`
}
