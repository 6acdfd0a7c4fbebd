import { Refused } from '../api/client'

/** The first load of a panel: ruled lines of the height to come, so that nothing moves when it does. */
export function Loading({ what }: { what: string }) {
  return (
    <div className="loading" role="status">
      <span className="unseen">Loading {what}</span>
    </div>
  )
}

type FailedProps = { what: string; error: Error; again: () => void }

/** What happened, what still holds, what to do. Other panels stay as they are. */
export function Failed({ what, error, again }: FailedProps) {
  const refused = error instanceof Refused ? error : null
  const told = refused ? `The API answered ${refused.status} (request ${refused.requestId}). ${refused.message}` : 'The API could not be reached.'
  return (
    <div className="panel-state" role="alert">
      <p className="panel-state-title">{what} did not load.</p>
      <p>{told} The other panels still hold.</p>
      <div className="buttons">
        <button type="button" className="primary" onClick={again}>Try again</button>
        <button type="button" className="secondary" onClick={() => void navigator.clipboard?.writeText(`${what}: ${told} ${window.location.href}`)}>
          Copy details
        </button>
      </div>
    </div>
  )
}
