/**
 * Exact arithmetic on decimal strings.
 *
 * The API sends amounts as strings so that no digit passes through a float; the digits on screen are made from
 * them here, in whole numbers of the last decimal place.
 */

export type Decimal = { units: bigint; places: number }

const WRITTEN = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/

/** Read a decimal string. Throws on anything else: a wrong amount must not become a plausible one. */
export function parse(text: string): Decimal {
  const match = WRITTEN.exec(text)
  if (!match) throw new RangeError(`not a decimal: ${text}`)
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match
  const shift = Number(exponent) - fraction.length
  const digits = BigInt(sign + whole + fraction)
  return shift >= 0 ? { units: digits * 10n ** BigInt(shift), places: 0 } : { units: digits, places: -shift }
}

/** The units of `value` at `places` decimals, halves away from zero as on an invoice. */
export function rounded(value: Decimal, places: number): bigint {
  if (value.places <= places) return value.units * 10n ** BigInt(places - value.places)
  return divided(value.units, 10n ** BigInt(value.places - places))
}

/** `a - b`, exactly. */
export function minus(a: Decimal, b: Decimal): Decimal {
  const places = Math.max(a.places, b.places)
  return { units: rounded(a, places) - rounded(b, places), places }
}

/** `part / whole` as hundredths with `places` decimals; null when there is nothing to divide by. */
export function percentOf(part: Decimal, whole: Decimal, places: number): Decimal | null {
  if (whole.units === 0n) return null
  const common = Math.max(part.places, whole.places)
  const over = rounded(part, common) * 100n * 10n ** BigInt(places)
  const under = rounded(whole, common)
  return { units: divided(over, under < 0n ? -under : under), places }
}

/** `value / count`, with two decimals more than it came with: enough to be rounded again. */
export function shared(value: Decimal, count: number): Decimal {
  return { units: divided(value.units * 100n, BigInt(count)), places: value.places + 2 }
}

/** The digits of `units`, which are counted in the last of `places` decimals, without a sign. */
export function digits(units: bigint, places: number): string {
  const text = (units < 0n ? -units : units).toString().padStart(places + 1, '0')
  const whole = text.slice(0, text.length - places).replace(/\B(?=(\d{3})+$)/g, ',')
  return places > 0 ? `${whole}.${text.slice(-places)}` : whole
}

/** Integer division, halves away from zero. The divisor is positive. */
function divided(over: bigint, under: bigint): bigint {
  const half = over < 0n ? -under : under
  return (over * 2n + half) / (under * 2n)
}
