import { type CostRow, OTHER } from '../api/costs'
import { DivergingBar } from '../charts/DivergingBar'
import { Sparkline } from '../charts/Sparkline'
import type { EvidenceRef } from '../lib/evidenceRef'
import { change as changeOf, money, share } from '../lib/money'
import type { View } from '../lib/view'
import { GROUP_WORDS, counted } from '../lib/words'
import { ChangeText } from '../parts/ChangeText'
import { Figure } from '../parts/Figure'
import { Icon } from '../parts/Icon'
import { ChildRows } from './ChildRows'
import type { Overview } from './useOverview'

type Props = {
  row: CostRow
  /** What the row is a share of. */
  whole: string
  view: View
  overview: Overview
  compared: boolean
  /** The smallest and the largest change of the table, for the bars. */
  reach: { least: number; most: number }
  setHighlight: (member: string | null) => void
  open: (evidence: EvidenceRef) => void
  change: (part: Partial<View>) => void
}

/** One member of the table, and the rows it opens into. */
export function CostTableRow({ row: { member, amount, previous }, whole, view, overview, compared, reach, setHighlight, open, change }: Props) {
  const { window, currency, colours, spark } = overview
  const folded = member.id === OTHER
  const words = GROUP_WORDS[view.by]
  const name = folded ? counted(member.others, `other ${words.one}`, `other ${words.many}`) : member.name
  const expanded = view.open.includes(member.id)
  const colour = colours.get(member.id) ?? ''
  const before = previous ?? '0'
  const evidence: EvidenceRef = {
    kind: 'cell', start: window.start, end: window.end, measure: view.metric, currency,
    filters: { ...view.filters, [view.by]: [member.id] },
  }
  const toggle = () => change({ open: expanded ? view.open.filter((id) => id !== member.id) : [...view.open, member.id] })
  return (
    <>
      <tr onPointerEnter={() => setHighlight(member.id)} onPointerLeave={() => setHighlight(null)}>
        <th scope="row">
          {folded ? (
            <span className="row-name"><i className="chevron-room" /><i className={`swatch ${colour}`} />{name}</span>
          ) : (
            <button type="button" className="row-name" aria-expanded={expanded} onClick={toggle}>
              <Icon name={expanded ? 'down' : 'right'} />
              <i className={`swatch ${colour}`} />
              <span className="name">{name}</span>
            </button>
          )}
        </th>
        <td className="number wide muted">{share(amount, whole)}</td>
        <td className="number strong">
          {folded ? money(amount, currency) : <Figure evidence={evidence} open={open} label={`Open the charges of ${name}`} className="plain-figure">{money(amount, currency)}</Figure>}
        </td>
        {compared && <td className="number wide muted">{money(before, currency)}</td>}
        {compared && <td className="number"><ChangeText change={changeOf(amount, before, currency)} /></td>}
        {compared && <td className="wide"><DivergingBar change={Number(amount) - Number(before)} {...reach} /></td>}
        <td className="wide"><Sparkline amounts={spark.get(member.id) ?? []} colour={colour} /></td>
      </tr>
      {expanded && <ChildRows parent={member} whole={whole} view={view} overview={overview} compared={compared} open={open} />}
    </>
  )
}
