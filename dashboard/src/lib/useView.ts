/** The view, read from the address and written back to it. */

import { useMemo, useSyncExternalStore } from 'react'
import { readView, type View, writeView } from './view'

const CHANGED = 'finops:address'

function subscribe(changed: () => void): () => void {
  window.addEventListener('popstate', changed)
  window.addEventListener(CHANGED, changed)
  return () => {
    window.removeEventListener('popstate', changed)
    window.removeEventListener(CHANGED, changed)
  }
}

/** Go to another view. The way back is the browser's own button. */
export function goTo(view: View): void {
  const address = window.location.pathname + writeView(view)
  if (address === window.location.pathname + window.location.search) return
  window.history.pushState(null, '', address)
  window.dispatchEvent(new Event(CHANGED))
}

export type Viewing = { view: View; dropped: string[]; change: (part: Partial<View>) => void }

export function useView(): Viewing {
  const search = useSyncExternalStore(subscribe, () => window.location.search)
  return useMemo(() => {
    const read = readView(search)
    return { ...read, change: (part: Partial<View>) => goTo({ ...read.view, ...part }) }
  }, [search])
}
