/** Splits an insight's text at its `{{f_id}}` placeholders, so that every figure can be a button. */

export type Piece<F> = { text: string; fact?: F }

/** The pieces of `template`. A placeholder without a fact stays as it is written: nothing is made up. */
export function pieces<F extends { formatted: string }>(template: string, facts: Record<string, F>): Piece<F>[] {
  const found: Piece<F>[] = []
  let from = 0
  for (const match of template.matchAll(/\{\{(f_[a-z0-9_]+)\}\}/g)) {
    const fact = facts[match[1] ?? '']
    if (!fact) continue
    if (match.index > from) found.push({ text: template.slice(from, match.index) })
    found.push({ text: fact.formatted, fact })
    from = match.index + match[0].length
  }
  if (from < template.length) found.push({ text: template.slice(from) })
  return found
}
