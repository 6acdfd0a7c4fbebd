import type { Change } from '../lib/money'

/** An amount and a share with their signs. The colour only repeats what the sign says. */
export function ChangeText({ change, brackets = false }: { change: Change; brackets?: boolean }) {
  const percent = change.percent && (brackets ? `(${change.percent})` : change.percent)
  return (
    <span className={`change change-${change.direction}`}>
      <span className="change-amount">{change.amount}</span> {percent && <span className="change-percent">{percent}</span>}
    </span>
  )
}
