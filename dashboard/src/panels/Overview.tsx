import { useState } from 'react'
import type { Meta } from '../api/types'
import type { EvidenceRef } from '../lib/evidenceRef'
import type { Viewing } from '../lib/useView'
import { ChartPanel } from './ChartPanel'
import { CostTable } from './CostTable'
import { EvidenceDrawer } from './EvidenceDrawer'
import { FilterBar } from './FilterBar'
import { InsightsPanel } from './InsightsPanel'
import { LeadStrip } from './LeadStrip'
import { DroppedNotice } from './DroppedNotice'
import { SavingsDrawer } from './SavingsDrawer'
import { useOverview } from './useOverview'

/** The first question of the day: what did it cost, where is it heading, and what is unusual. */
export function Overview({ meta, viewing: { view, dropped, change } }: { meta: Meta; viewing: Viewing }) {
  const overview = useOverview(meta, view)
  const [highlight, setHighlight] = useState<string | null>(null)
  const open = (evidence: EvidenceRef) => change({ evidence })
  return (
    <>
      <main className="page" tabIndex={-1}>
        <h1 className="unseen">Overview</h1>
        <DroppedNotice dropped={dropped} />
        <FilterBar meta={meta} view={view} overview={overview} change={change} />
        <LeadStrip meta={meta} view={view} overview={overview} open={open} change={change} />
        <div className="two-columns">
          <ChartPanel view={view} overview={overview} highlight={highlight} setHighlight={setHighlight} open={open} change={change} />
          <InsightsPanel meta={meta} overview={overview} open={open} />
        </div>
        <CostTable view={view} overview={overview} setHighlight={setHighlight} open={open} change={change} />
      </main>
      {view.savings && !view.evidence && <SavingsDrawer overview={overview} open={open} close={() => change({ savings: false })} />}
      {view.evidence && <EvidenceDrawer evidence={view.evidence} close={() => change({ evidence: null })} />}
    </>
  )
}
