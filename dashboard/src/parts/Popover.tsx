import { type ReactNode, useEffect, useId, useRef, useState } from 'react'
import { Icon } from './Icon'

type Props = {
  /** What the button says: `Period` before `1 – 20 Nov`. */
  label: string
  value?: string
  plain?: boolean
  children: (close: () => void) => ReactNode
}

/** A button that opens something below it. Escape, or a click elsewhere, closes it and gives the focus back. */
export function Popover({ label, value, plain = false, children }: Props) {
  const [open, setOpen] = useState(false)
  const id = useId()
  const root = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const panel = useRef<HTMLDivElement>(null)
  const close = () => {
    setOpen(false)
    button.current?.focus()
  }

  useEffect(() => {
    if (!open) return
    const first = panel.current?.querySelector<HTMLElement>('[aria-checked="true"], input, button')
    first?.focus()
    const outside = (event: PointerEvent) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false)
    }
    document.addEventListener('pointerdown', outside)
    return () => document.removeEventListener('pointerdown', outside)
  }, [open])

  return (
    <div
      className="popover"
      ref={root}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && open) {
          event.stopPropagation()
          close()
        }
      }}
      onBlur={(event) => {
        if (event.relatedTarget instanceof Node && !root.current?.contains(event.relatedTarget)) setOpen(false)
      }}
    >
      <button
        ref={button}
        type="button"
        className={plain ? 'link-button' : 'control'}
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        {value === undefined ? <span>{label}</span> : <><span className="control-label">{label}</span> <strong>{value}</strong></>}
        {!plain && <Icon name="down" />}
      </button>
      {open && (
        <div className="popover-panel" id={id} ref={panel}>
          {children(close)}
        </div>
      )}
    </div>
  )
}
