import { useState } from 'react'
import { sendToken } from '../api/client'

/** Asked for only where the deployment has one. It is kept until the page is closed, and nowhere else. */
export function TokenForm({ signedIn }: { signedIn: () => void }) {
  const [given, setGiven] = useState('')
  return (
    <form
      className="panel panel-state token-form"
      onSubmit={(event) => {
        event.preventDefault()
        sendToken(given)
        signedIn()
      }}
    >
      <p className="panel-state-title">This deployment asks who you are.</p>
      <label htmlFor="token">API_TOKEN of the deployment. It is kept until you close or reload the page.</label>
      <div className="buttons">
        <input id="token" type="password" autoComplete="off" value={given} onChange={(event) => setGiven(event.target.value)} />
        <button type="submit" className="primary" disabled={given === ''}>Open</button>
      </div>
    </form>
  )
}
