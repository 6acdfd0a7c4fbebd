/** Rows of `/v1/costs`, whose keys depend on what was asked, read into one shape. */

import type { Day } from '../lib/days'
import type { CostPage } from './types'

export const OTHER = '(other)'

export type Member = {
  id: string
  name: string
  /** How many members were folded into this one; 0 for a member of its own. */
  others: number
}

export type CostRow = {
  /** null in an answer that is one total. */
  day: Day | null
  member: Member
  amount: string
  /** The same for the period before; null where none was asked for or the day is unfinished. */
  previous: string | null
  /** Whether the day's charges are still arriving. */
  estimated: boolean
}

type Raw = Record<string, unknown>

function text(raw: Raw, key: string): string | null {
  const value = raw[key]
  return typeof value === 'string' ? value : null
}

/** Every row of an answer that has one measure and at most one group; what is folded together comes last. */
export function costRows(page: CostPage): CostRow[] {
  const rows = page.items.map((raw) => costRow(page, raw))
  return [...rows.filter(({ member }) => member.id !== OTHER), ...rows.filter(({ member }) => member.id === OTHER)]
}

function costRow(page: CostPage, raw: Raw): CostRow {
  const measure = page.meta.measures[0] ?? ''
  const group = page.meta.group_by[0]
  return {
    day: text(raw, 'usage_day'),
    member: group ? memberOf(raw, group) : { id: '', name: 'All', others: 0 },
    amount: text(raw, measure) ?? '0',
    previous: text(raw, `previous_${measure}`),
    estimated: raw['estimated'] === true,
  }
}

function memberOf(raw: Raw, group: string): Member {
  const id = text(raw, group) ?? ''
  const others = typeof raw['others'] === 'number' ? raw['others'] : 0
  if (id === OTHER) return { id, name: `${others} other${others === 1 ? '' : 's'}`, others }
  return { id, name: text(raw, `${group}_name`) ?? id, others: 0 }
}

export type Total = { amount: string; previous: string | null }

/** The total of an answer in one currency; the API adds up, we do not. */
export function totalOf(page: CostPage): Total {
  const measure = page.meta.measures[0] ?? ''
  const raw: Raw = page.totals[0] ?? {}
  return { amount: text(raw, measure) ?? '0', previous: text(raw, `previous_${measure}`) }
}
