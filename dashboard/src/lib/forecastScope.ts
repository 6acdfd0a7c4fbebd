import type { ForecastScope } from '../api/queries'
import type { View } from './view'

/** Which forecast covers exactly what a view shows; null where there is none: of many things together only totals are forecast. */
export function forecastScope({ filters, metric }: Pick<View, 'filters' | 'metric'>, currency: string): ForecastScope | null {
  if (metric !== 'billed_cost') return null
  const asked = Object.entries(filters).flatMap(([group, members]) => members.map((member) => ({ group, member })))
  const [only, ...more] = asked
  if (!only) return { scope: 'total', billing_currency: [currency] }
  if (more.length > 0 || (only.group !== 'project' && only.group !== 'service')) return null
  return { scope: only.group, member: [only.member], billing_currency: [currency] }
}
