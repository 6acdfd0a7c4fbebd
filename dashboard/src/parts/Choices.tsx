import type { KeyboardEvent } from 'react'

type Choice<T extends string> = { value: T; title: string; meaning?: string }

type Props<T extends string> = {
  title: string
  choices: Choice<T>[]
  chosen: T | null
  choose: (value: T) => void
}

/** One of several, with the arrow keys between them. */
export function Choices<T extends string>({ title, choices, chosen, choose }: Props<T>) {
  const move = (event: KeyboardEvent<HTMLDivElement>) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    const all = [...event.currentTarget.querySelectorAll<HTMLElement>('[role="radio"]')]
    const at = all.findIndex((one) => one === document.activeElement)
    all[(at + step + all.length) % all.length]?.focus()
  }
  return (
    <div role="radiogroup" aria-label={title} className="choices" onKeyDown={move}>
      <p className="choices-title" aria-hidden="true">{title}</p>
      {choices.map(({ value, title: name, meaning }) => (
        <button key={value} type="button" role="radio" aria-checked={value === chosen} onClick={() => choose(value)}>
          <span>{name}</span>
          {meaning && <small>{meaning}</small>}
        </button>
      ))}
    </div>
  )
}
