/** Links into Dagster's own pages. Its routes are no public contract: they are written here and nowhere else. */

import type { Day } from './days'

/** The partition of a usage day: is it built, when, from what. */
export function usageDayLink(base: string, day: Day): string {
  return `${base}/assets/aggregated_cost_data?view=partitions&partition=${day}`
}

/** The partition of an invoice month, `202610`. */
export function invoiceMonthLink(base: string, month: string): string {
  return `${base}/assets/invoice_months?view=partitions&partition=${month}`
}

/** The run that wrote something. */
export function runLink(base: string, runId: string): string {
  return `${base}/runs/${encodeURIComponent(runId)}`
}
