/** What the product calls things, said once. */

import type { Group, Metric, PeriodName } from './view'

export const GROUP_WORDS: Record<Group, { one: string; many: string; title: string }> = {
  service: { one: 'service', many: 'services', title: 'Service' },
  project: { one: 'project', many: 'projects', title: 'Project' },
  sku: { one: 'SKU', many: 'SKUs', title: 'SKU' },
  region: { one: 'region', many: 'regions', title: 'Region' },
}

export const METRIC_WORDS: Record<Metric, { title: string; meaning: string }> = {
  billed_cost: { title: 'Billed', meaning: 'After credits, as on the invoice' },
  effective_cost: { title: 'Effective', meaning: 'Billed, with commitment fees on the usage they cover' },
  contracted_cost: { title: 'Contracted', meaning: 'At contract prices, before credits' },
  list_cost: { title: 'List', meaning: 'At list prices' },
  cost: { title: 'Before credits', meaning: 'As in the export, before credits' },
}

export const PERIOD_WORDS: Record<PeriodName, string> = {
  mtd: 'This month',
  '7d': 'Last 7 days',
  '30d': 'Last 30 days',
  '90d': 'Last 90 days',
  lastmonth: 'Last month',
}

/** What a row of the table opens into. */
export const SECOND_LEVEL: Record<Group, Group> = { service: 'project', project: 'service', sku: 'project', region: 'service' }

/** `1 row`, `2 rows`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}
