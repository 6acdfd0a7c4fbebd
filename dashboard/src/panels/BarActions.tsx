import { useState } from 'react'
import { totalOf } from '../api/costs'
import { save } from '../api/client'
import { costCsv } from '../lib/csv'
import { plusDays } from '../lib/days'
import { type View, writeView } from '../lib/view'
import type { Overview } from './useOverview'

/** Take it along: as a link to these very days, or as the table's figures in full. */
export function BarActions({ view, overview: { table, rows, window, comparison, currency } }: { view: View; overview: Overview }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    // A period by its name would show the reader other days tomorrow.
    const pinned = { ...view, currency, compare: comparison.how, period: { from: window.start, to: plusDays(window.end, -1) } }
    await navigator.clipboard.writeText(pageAddress() + writeView(pinned))
    setCopied(true)
    setTimeout(() => setCopied(false), 2000)
  }
  const csv = () => {
    if (!table.data) return
    const text = costCsv(rows, totalOf(table.data), { by: view.by, metric: view.metric, currency })
    save(new Blob([text], { type: 'text/csv' }), `cost-by-${view.by}-${window.start}-to-${plusDays(window.end, -1)}.csv`)
  }
  return (
    <div className="bar-actions">
      <button type="button" className="link-button" onClick={() => void copy()}><span aria-live="polite">{copied ? 'Copied' : 'Copy link'}</span></button>
      <button type="button" className="link-button" disabled={!table.data} onClick={csv}>CSV</button>
    </div>
  )
}

function pageAddress(): string {
  return globalThis.location.origin + globalThis.location.pathname
}
