import { useMeta } from './api/queries'
import { Refused } from './api/client'
import { useView } from './lib/useView'
import { Overview } from './panels/Overview'
import { SignIn } from './panels/SignIn'
import { TokenForm } from './panels/TokenForm'
import { TopBar } from './panels/TopBar'
import { Failed, Loading } from './parts/PanelState'

/** The one screen, once it is known how far the numbers go. */
export function App() {
  const meta = useMeta()
  const viewing = useView()
  // Also of somebody whose session ended while they were looking: what they see is not theirs to see any more.
  const isStranger = meta.error instanceof Refused && meta.error.title === 'NotSignedIn'
  if (meta.data && !isStranger) {
    return (
      <>
        <TopBar meta={meta.data} currency={viewing.view.currency} />
        <Overview meta={meta.data} viewing={viewing} />
      </>
    )
  }
  return (
    <>
      <TopBar meta={null} currency={null} />
      <main className="page" tabIndex={-1}>
        <h1 className="unseen">Overview</h1>
        {meta.isPending && <div className="panel first-load"><Loading what="the overview" /></div>}
        {isStranger && <SignIn />}
        {meta.error && !isStranger && <FirstFailure error={meta.error} again={() => void meta.refetch()} />}
      </main>
    </>
  )
}

function FirstFailure({ error, again }: { error: Error; again: () => void }) {
  if (error instanceof Refused && error.status === 401) return <TokenForm signedIn={again} />
  if (error instanceof Refused && error.title === 'NothingLoaded') {
    return (
      <div className="panel panel-state">
        <p className="panel-state-title">No costs are loaded yet.</p>
        <p>{error.message}</p>
        <div className="buttons"><button type="button" className="primary" onClick={again}>Look again</button></div>
      </div>
    )
  }
  return <div className="panel"><Failed what="The overview" error={error} again={again} /></div>
}
