/**
 * Calendar days as `YYYY-MM-DD`, which sort as they are.
 *
 * A usage day is a name, no moment: nothing here asks the clock or the time zone of whoever looks. All arithmetic
 * is done at UTC midnight, where every day has 24 hours.
 */

export type Day = string

const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'] as const
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const
const MILLISECONDS = 86_400_000

/** Whether `text` names a day there is: 31 February is none. */
export function isDay(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && written(at(text)) === text
}

function at(day: Day): number {
  return Date.parse(`${day}T00:00:00Z`)
}

function written(moment: number): Day {
  return Number.isNaN(moment) ? '' : new Date(moment).toISOString().slice(0, 10)
}

/** The day `count` days after `day`. */
export function plusDays(day: Day, count: number): Day {
  return written(at(day) + count * MILLISECONDS)
}

/** How many days lie in `start <= day < end`. */
export function daysBetween(start: Day, end: Day): number {
  return Math.round((at(end) - at(start)) / MILLISECONDS)
}

/** Every day of `start <= day < end`. */
export function daysOf(start: Day, end: Day): Day[] {
  return Array.from({ length: Math.max(0, daysBetween(start, end)) }, (_, n) => plusDays(start, n))
}

/** The first day of the month `day` is in. */
export function monthStart(day: Day): Day {
  return `${day.slice(0, 7)}-01`
}

/** The first day of the month after the one `day` is in. */
export function nextMonth(day: Day): Day {
  return monthStart(plusDays(monthStart(day), 31))
}

function parts(day: Day): { day: number; month: (typeof MONTHS)[number] } {
  return { day: Number(day.slice(8, 10)), month: MONTHS[Number(day.slice(5, 7)) - 1] ?? 'January' }
}

/** `20 Nov`. From a fixed list: a locale may say "Sept" beside "Oct". */
export function dayText(day: Day): string {
  const { day: number, month } = parts(day)
  return `${number} ${month.slice(0, 3)}`
}

/** `Thu 15 Oct`. */
export function weekdayText(day: Day): string {
  return `${WEEKDAYS[new Date(at(day)).getUTCDay()] ?? ''} ${dayText(day)}`
}

/** `November`. */
export function monthText(day: Day): string {
  return parts(day).month
}

/** `Oct`, of an invoice month `202610`. */
export function invoiceMonthText(month: string): string {
  return monthText(`${month.slice(0, 4)}-${month.slice(4, 6)}-01`).slice(0, 3)
}

/** `1 – 20 Nov`, `28 Oct – 3 Nov`, of the days `start <= day < end`. */
export function rangeText(start: Day, end: Day): string {
  const last = plusDays(end, -1)
  if (last === start) return dayText(start)
  const from = start.slice(0, 7) === last.slice(0, 7) ? String(parts(start).day) : dayText(start)
  return `${from} – ${dayText(last)}`
}

/** `06:12 UTC`, of an instant as the API writes it. */
export function timeText(instant: string): string {
  return `${new Date(instant).toISOString().slice(11, 16)} UTC`
}
