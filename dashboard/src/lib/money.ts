/** Amounts, changes and shares as people read them. Input is always the API's decimal string. */

import { type Decimal, digits, minus, parse, percentOf, rounded, shared } from './decimal'

export const MINUS = '\u2212'

const SYMBOLS: Record<string, string> = { USD: '$', EUR: '€', GBP: '£', JPY: '¥' }

/** What stands before an amount of this currency: a sign everybody knows, else the code itself. */
function symbol(currency: string): string {
  return SYMBOLS[currency] ?? `${currency} `
}

function signed(value: Decimal, places: number, currency: string): string {
  const units = rounded(value, places)
  return `${units < 0n ? MINUS : ''}${symbol(currency)}${digits(units, places)}`
}

/**
 * Whole units, for tables and headlines: `$14,289`.
 *
 * Under ten units the cents stay, as they do in the text of insights: `$0` would say that nothing was spent.
 */
export function money(amount: string, currency: string): string {
  return whole(parse(amount), currency)
}

function whole(value: Decimal, currency: string): string {
  const units = rounded(value, 0)
  const small = units > -10n && units < 10n && value.units !== 0n
  return signed(value, small ? 2 : 0, currency)
}

/** With cents, for evidence: `$14,288.58`. */
export function cents(amount: string, currency: string): string {
  return signed(parse(amount), 2, currency)
}

/** Thousands, for axes and ranges: `$569k`; below ten thousand in full. */
export function short(amount: string, currency: string): string {
  const value = parse(amount)
  const units = rounded(value, 0)
  const size = units < 0n ? -units : units
  if (size < 10_000n) return whole(value, currency)
  const scale = size >= 10_000_000n ? { by: 6, unit: 'M' } : { by: 3, unit: 'k' }
  return signed({ units: value.units, places: value.places + scale.by }, 0, currency) + scale.unit
}

/** An amount on an axis, from the number of a tick: ticks are round, so no digit is lost. */
export function tick(value: number, currency: string): string {
  const sign = value < 0 ? MINUS : ''
  const size = Math.abs(value)
  const [shown, unit] = size >= 1e6 ? [size / 1e6, 'M'] : size >= 1e3 ? [size / 1e3, 'k'] : [size, '']
  return `${sign}${symbol(currency)}${Number(shown.toFixed(2))}${unit}`
}

export type Change = {
  /** `+$1,410` */
  amount: string
  /** `+1.2%`; `new` where nothing was before, null where nothing is either. */
  percent: string | null
  direction: 'up' | 'down' | 'same'
}

/** How an amount moved, always with its sign. */
export function change(now: string, before: string, currency: string): Change {
  const [after, earlier] = [parse(now), parse(before)]
  const moved = minus(after, earlier)
  const plus = moved.units > 0n ? '+' : ''
  const direction = moved.units > 0n ? 'up' : moved.units < 0n ? 'down' : 'same'
  const percent = percentOf(moved, earlier, 1)
  return { amount: plus + whole(moved, currency), percent: percentText(percent, direction), direction }
}

function percentText(percent: Decimal | null, direction: Change['direction']): string | null {
  if (percent === null) return direction === 'same' ? null : 'new'
  if (direction === 'same') return '0.0%'
  const size = percent.units === 0n ? '<0.1' : digits(percent.units, percent.places)
  return `${direction === 'up' ? '+' : MINUS}${size}%`
}

/** How much of a whole an amount is: `34.7%`; nothing where there is no whole. */
export function share(part: string, of: string): string {
  const percent = percentOf(parse(part), parse(of), 1)
  if (percent === null) return ''
  return `${percent.units < 0n ? MINUS : ''}${digits(percent.units, percent.places)}%`
}

/** The mean of an amount over some days. */
export function perDay(amount: string, days: number, currency: string): string {
  return whole(shared(parse(amount), days), currency)
}

/** Whether an amount is exactly nothing. */
export function isZero(amount: string): boolean {
  return parse(amount).units === 0n
}
