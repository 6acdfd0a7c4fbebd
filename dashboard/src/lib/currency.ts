/** One currency at a time: dollars added to euros are a number that is true of nothing. */
export function currencyOf(asked: string | null, held: string[]): string {
  if (asked !== null && held.includes(asked)) return asked
  return held.includes('USD') ? 'USD' : (held[0] ?? 'USD')
}
