import type { ReactNode } from 'react'
import { type EvidenceRef, evidenceKey } from '../lib/evidenceRef'

type Props = {
  evidence: EvidenceRef
  open: (evidence: EvidenceRef) => void
  /** What is behind it, for those who do not see where it stands. */
  label: string
  className?: string
  children: ReactNode
}

/** A number somebody may doubt: press it, and see what it is made of. */
export function Figure({ evidence, open, label, className = 'figure', children }: Props) {
  return (
    <button type="button" className={className} title={label} data-evidence={evidenceKey(evidence)} onClick={() => open(evidence)}>
      {children}
    </button>
  )
}
