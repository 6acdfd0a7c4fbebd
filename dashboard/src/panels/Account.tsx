import { useState } from 'react'
import { signOut } from '../api/queries'
import type { Me } from '../api/types'

/** Who is signed in, and the way out. A key and this machine are nobody to be shown. */
export function Account({ me }: { me: Me | undefined }) {
  const [failed, setFailed] = useState(false)
  if (me?.kind !== 'user') return null
  const leave = async () => {
    try {
      await signOut()
    } catch {
      setFailed(true)
      return
    }
    // What was loaded is not for whoever looks next.
    globalThis.location.reload()
  }
  return (
    <div className="account">
      <span title={`${me.email}, ${me.role}`}>{me.email}</span>
      <button type="button" className="link-button" onClick={() => void leave()}>Sign out</button>
      {failed && <span role="alert">Still signed in. Try again.</span>}
    </div>
  )
}
