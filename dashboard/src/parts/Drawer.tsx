import { type ReactNode, useEffect, useRef } from 'react'

type Props = {
  title: string
  close: () => void
  /** Who gets the focus when it is closed: found again by its key, also after a reload. */
  opener: string
  children: ReactNode
}

/** A sheet over the right of the page. Everything behind it is out of reach until it is closed. */
export function Drawer({ title, close, opener, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null)

  useEffect(() => {
    const shown = dialog.current
    if (!shown) return
    const active = document.activeElement
    const pressed = active instanceof HTMLElement && active.dataset['evidence'] === opener ? active : null
    if (!shown.open) shown.showModal()
    return () => {
      shown.close()
      // The same figure may stand in a text twice: the one that was pressed gets it.
      const again = pressed?.isConnected ? pressed : opened(opener)
      again?.focus({ preventScroll: true })
    }
  }, [opener])

  return (
    <dialog
      ref={dialog}
      className="drawer"
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault()
        close()
      }}
      onClose={() => {
        // The browser closes it by itself when Escape is pressed twice.
        if (!dialog.current?.open) close()
      }}
      onClick={(event) => {
        if (event.target === dialog.current) close()
      }}
    >
      <div className="drawer-content">
        <header className="drawer-head">
          <h2>{title}</h2>
          <button type="button" className="secondary" onClick={close}>Close</button>
        </header>
        {children}
      </div>
    </dialog>
  )
}

function opened(key: string): HTMLElement | null {
  const candidates = [...document.querySelectorAll<HTMLElement>('[data-evidence]')]
  return candidates.find((element) => element.dataset['evidence'] === key) ?? document.querySelector<HTMLElement>('main')
}
