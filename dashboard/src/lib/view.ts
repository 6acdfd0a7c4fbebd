/**
 * What is on screen, as the address says it.
 *
 * The address is the only state there is: what can be seen can be sent. Keys are words, what is at its default is
 * left out, and what is not understood is dropped and named, so that an old or mistyped link still opens.
 */

import { type EvidenceRef, readEvidence, writeEvidence } from './evidenceRef'
import { type Day, isDay } from './days'

export const PERIODS = ['mtd', '7d', '30d', '90d', 'lastmonth'] as const
export const GROUPS = ['service', 'project', 'sku', 'region'] as const
export const METRICS = ['billed_cost', 'effective_cost', 'contracted_cost', 'list_cost', 'cost'] as const
export const COMPARES = ['month', 'previous', 'none'] as const
export const CHARTS = ['daily', 'cumulative', 'table'] as const

export type PeriodName = (typeof PERIODS)[number]
export type Group = (typeof GROUPS)[number]
export type Metric = (typeof METRICS)[number]
export type Chart = (typeof CHARTS)[number]
export type Filters = Partial<Record<Group, string[]>>

/** A period by its name moves with the data; one by its days stays, `to` being its last day. */
export type Period = PeriodName | { from: Day; to: Day }

export type Compare = (typeof COMPARES)[number]

export type View = {
  period: Period
  /** null: as the period suggests, a month with the month before. */
  compare: Compare | null
  by: Group
  metric: Metric
  /** null: the account's own, which the API names. */
  currency: string | null
  filters: Filters
  chart: Chart
  /** Members of the table whose second level is open. */
  open: string[]
  evidence: EvidenceRef | null
  /** Whether the list of possible savings is open. */
  savings: boolean
}

export const DEFAULT_VIEW: View = {
  period: 'mtd',
  compare: null,
  by: 'service',
  metric: 'billed_cost',
  currency: null,
  filters: {},
  chart: 'daily',
  open: [],
  evidence: null,
  savings: false,
}

/** The view an address asks for, and the parts of it that mean nothing here. */
export function readView(search: string): { view: View; dropped: string[] } {
  const asked = new URLSearchParams(search)
  const view: View = { ...DEFAULT_VIEW, filters: {}, open: asked.getAll('open') }
  const dropped = new Set<string>()
  const refuse = (key: string): null => {
    dropped.add(key)
    return null
  }
  const oneOf = <T extends string>(key: string, allowed: readonly T[]): T | null => {
    const value = asked.get(key)
    return value === null ? null : (allowed.find((one) => one === value) ?? refuse(key))
  }

  view.compare = oneOf('cmp', COMPARES)
  view.by = oneOf('by', GROUPS) ?? view.by
  view.metric = oneOf('metric', METRICS) ?? view.metric
  view.chart = oneOf('view', CHARTS) ?? view.chart
  view.savings = oneOf('show', ['savings']) === 'savings'
  const currency = asked.get('cur')
  view.currency = currency === null ? null : /^[A-Z]{3}$/.test(currency) ? currency : refuse('cur')
  view.period = readPeriod(asked, oneOf('period', PERIODS), refuse)
  for (const written of asked.getAll('f')) {
    const filter = readFilter(written)
    if (filter) view.filters[filter.group] = [...(view.filters[filter.group] ?? []), filter.member]
    else refuse('f')
  }
  const evidence = asked.get('ev')
  view.evidence = evidence === null ? null : (readEvidence(evidence, asked.getAll('ev_f').map(readFilter)) ?? refuse('ev'))
  for (const key of asked.keys()) if (!KEYS.has(key)) dropped.add(key)
  return { view, dropped: [...dropped] }
}

const KEYS = new Set(['period', 'from', 'to', 'cmp', 'by', 'metric', 'cur', 'f', 'view', 'open', 'ev', 'ev_f', 'show'])

function readPeriod(asked: URLSearchParams, named: PeriodName | null, refuse: (key: string) => null): Period {
  const [from, to] = [asked.get('from'), asked.get('to')]
  if (from !== null || to !== null) {
    if (from !== null && to !== null && isDay(from) && isDay(to) && from <= to) return { from, to }
    if (from !== null) refuse('from')
    if (to !== null) refuse('to')
  }
  return named ?? DEFAULT_VIEW.period
}

function readFilter(written: string): { group: Group; member: string } | null {
  const colon = written.indexOf(':')
  const group = GROUPS.find((one) => one === written.slice(0, colon))
  const member = written.slice(colon + 1)
  return group && member ? { group, member } : null
}

/** The address of a view: `?by=project&f=service:…`, or nothing at all for the default. */
export function writeView(view: View): string {
  const said = new URLSearchParams()
  const differs = <K extends keyof View>(key: K): boolean => view[key] !== DEFAULT_VIEW[key]
  if (typeof view.period === 'object') {
    said.set('from', view.period.from)
    said.set('to', view.period.to)
  } else if (differs('period')) said.set('period', view.period)
  if (view.compare) said.set('cmp', view.compare)
  if (differs('by')) said.set('by', view.by)
  if (differs('metric')) said.set('metric', view.metric)
  if (view.currency) said.set('cur', view.currency)
  for (const filter of filterList(view.filters)) said.append('f', filter)
  if (differs('chart')) said.set('view', view.chart)
  for (const member of view.open) said.append('open', member)
  if (view.savings) said.set('show', 'savings')
  if (view.evidence) {
    said.set('ev', writeEvidence(view.evidence))
    if (view.evidence.kind === 'cell') for (const filter of filterList(view.evidence.filters)) said.append('ev_f', filter)
  }
  const text = said.toString().replaceAll('%3A', ':').replaceAll('%2F', '/').replaceAll('%28', '(').replaceAll('%29', ')')
  return text ? `?${text}` : ''
}

function filterList(filters: Filters): string[] {
  return GROUPS.flatMap((group) => (filters[group] ?? []).map((member) => `${group}:${member}`))
}
