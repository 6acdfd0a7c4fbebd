import type { Evidence } from '../api/types'

/** `$14,288.58 − $8,123.45 = $6,165.13`, each with what it is. */
export function Formula({ parts }: { parts: Evidence['formula'] }) {
  return (
    <dl className="formula">
      {parts.map((part) => (
        <div key={part.fact_id} className="term">
          {part.operator && <span className="operator">{part.operator}</span>}
          <div>
            <dd>{part.formatted}</dd>
            <dt>{part.label}</dt>
          </div>
        </div>
      ))}
    </dl>
  )
}
