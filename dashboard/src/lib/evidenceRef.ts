/** Which number somebody doubts, in a form that fits an address: `cell/2026-11-01/2026-11-22/billed_cost/USD`. */

import { type Day, isDay } from './days'
import { type Filters, type Group, METRICS, type Metric } from './view'

export type EvidenceRef =
  | { kind: 'cell'; start: Day; end: Day; measure: Metric; currency: string; filters: Filters }
  | { kind: 'insight'; id: string; fact: string }
  | { kind: 'anomaly'; id: string }
  | { kind: 'saving'; id: string; fact: string }

/** The address form of a reference, without a cell's filters, which stand beside it. */
export function writeEvidence(ref: EvidenceRef): string {
  return partsOf(ref).map(encodeURIComponent).join('/')
}

function partsOf(ref: EvidenceRef): string[] {
  switch (ref.kind) {
    case 'cell':
      return ['cell', ref.start, ref.end, ref.measure, ref.currency]
    case 'anomaly':
      return ['anomaly', ref.id]
    case 'insight':
    case 'saving':
      return [ref.kind, ref.id, ref.fact]
  }
}

/** The reference that `written` is, or null when it is none. */
export function readEvidence(
  written: string,
  filters: ({ group: Group; member: string } | null)[],
): EvidenceRef | null {
  const [kind, first = '', second = '', measure, currency = ''] = decoded(written)
  if (kind === 'anomaly' && first) return { kind, id: first }
  if ((kind === 'insight' || kind === 'saving') && first && second) return { kind, id: first, fact: second }
  const metric = METRICS.find((one) => one === measure)
  if (kind === 'cell' && isDay(first) && isDay(second) && first < second && metric && /^[A-Z]{3}$/.test(currency)) {
    const kept: Filters = {}
    for (const filter of filters) if (filter) kept[filter.group] = [...(kept[filter.group] ?? []), filter.member]
    return { kind, start: first, end: second, measure: metric, currency, filters: kept }
  }
  return null
}

function decoded(written: string): string[] {
  try {
    return written.split('/').map(decodeURIComponent)
  } catch {
    return []
  }
}

/** A name for the button that opens a reference, to give it the focus back. */
export function evidenceKey(ref: EvidenceRef): string {
  return ref.kind === 'cell' ? `${writeEvidence(ref)} ${JSON.stringify(ref.filters)}` : writeEvidence(ref)
}
