import { useState } from 'react'

/** A link may come from an older page or a mistyped address: what is not understood is said, not silently ignored. */
export function DroppedNotice({ dropped }: { dropped: string[] }) {
  const [seen, setSeen] = useState('')
  const named = dropped.join(', ')
  if (dropped.length === 0 || seen === named) return null
  return (
    <div className="notice" role="status">
      <span>The link asks for something this page does not know, and left it out: <strong>{named}</strong>. The rest is as asked.</span>
      <button type="button" className="link-button" onClick={() => setSeen(named)}>Dismiss</button>
    </div>
  )
}
