import type { Insight } from '../api/types'
import { runLink } from '../lib/dagster'
import { dayText } from '../lib/days'

/** Who wrote the insights, from what, and in which run. */
export function Provenance({ insight, dagsterUrl }: { insight: Insight; dagsterUrl: string }) {
  const { engine, prompt_version: prompt, data_through: through, run_id: run, fallback_reason: reason } = insight
  return (
    <footer className="provenance">
      Written by {engine === 'rules' ? 'rules, without a model' : engine} (prompt {prompt}) from tables to {dayText(through)}.
      {reason && <> No model was used: {reason}.</>} {run && dagsterUrl && <a href={runLink(dagsterUrl, run)}>Open the run</a>}
    </footer>
  )
}
