import { signInAddress } from '../lib/signIn'

/** Where people sign in: on this very view, they come back to it. */
export function SignIn() {
  return (
    <div className="panel panel-state">
      <p className="panel-state-title">Sign in to see what it cost.</p>
      <p>You come back to this view.</p>
      <div className="buttons"><a className="primary" href={signInAddress(globalThis.location)}>Sign in</a></div>
    </div>
  )
}
