import { useSyncExternalStore } from 'react'

/** Below this a phone is assumed; the style sheets use the same number. */
const narrow = window.matchMedia('(max-width: 759px)')

function subscribe(changed: () => void): () => void {
  narrow.addEventListener('change', changed)
  return () => narrow.removeEventListener('change', changed)
}

/** Whether the window is as narrow as a phone. */
export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => narrow.matches)
}
