import type { Fact } from '../api/types'
import type { EvidenceRef } from '../lib/evidenceRef'
import { pieces } from '../lib/template'
import { Figure } from '../parts/Figure'

type Props = {
  template: string
  facts: Record<string, Fact>
  insightId: string
  open: (evidence: EvidenceRef) => void
}

/** Plain text, whoever wrote it, with a button where a figure stands. Names, days and what was given are words. */
export function InsightText({ template, facts, insightId, open }: Props) {
  return pieces(template, facts).map(({ text, fact }, index) => {
    if (!fact) return text
    if (fact.unit === 'name') return <b key={index} className="named">{text}</b>
    if (fact.value === null || fact.source.kind === 'given') return text
    return (
      <Figure key={index} evidence={{ kind: 'insight', id: insightId, fact: fact.id }} open={open} label={`${fact.label}: what it is made of`}>
        {text}
      </Figure>
    )
  })
}
