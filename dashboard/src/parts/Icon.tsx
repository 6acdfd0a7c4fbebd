const SHAPES = {
  down: 'M4 6l4 4 4-4',
  right: 'M6 4l4 4-4 4',
  check: 'M3 8.5l3.2 3.2L13 5',
  close: 'M4.5 4.5l7 7m0-7l-7 7',
  out: 'M6 4h6v6M12 4l-7 7',
} as const

/** A line drawing beside a word that says the same; readers who hear the page lose nothing. */
export function Icon({ name }: { name: keyof typeof SHAPES }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={SHAPES[name]} />
    </svg>
  )
}
