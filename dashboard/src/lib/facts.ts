/** A figure in full, as evidence shows it: money with cents, shares with two decimals. */

import { digits, parse, rounded } from './decimal'
import { cents, MINUS } from './money'

/** `$6,165.13`, `83.10%`, `5 days`, `12`. */
export function exact(value: string, unit: string, currency: string | null): string {
  switch (unit) {
    case 'currency':
      return cents(value, currency ?? '')
    case 'percent':
      return `${plain(value, 2)}%`
    case 'days':
      return value === '1' ? '1 day' : `${plain(value, 0)} days`
    default:
      return plain(value, 0)
  }
}

function plain(value: string, places: number): string {
  const units = rounded(parse(value), places)
  return `${units < 0n ? MINUS : ''}${digits(units, places)}`
}
