/** The table as a file, every digit of it. */

import type { CostRow, Total } from '../api/costs'

type About = { by: string; metric: string; currency: string }

/** Rows and their total as the API gave them. */
export function costCsv(rows: CostRow[], total: Total, { by, metric, currency }: About): string {
  const lines = [
    [by, `${by}_name`, 'billing_currency', metric, `previous_${metric}`],
    ...rows.map(({ member, amount, previous }) => [member.id, member.name, currency, amount, previous ?? '']),
    ['(total)', '', currency, total.amount, total.previous ?? ''],
  ]
  return lines.map((cells) => cells.map(cell).join(',') + '\r\n').join('')
}

/** A name that begins like a formula would be run by a spreadsheet; amounts, negative ones too, are numbers. */
function cell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}
