import { costRows, type Member, OTHER } from '../api/costs'
import { useCosts } from '../api/queries'
import { Sparkline } from '../charts/Sparkline'
import { daysOf, plusDays } from '../lib/days'
import type { EvidenceRef } from '../lib/evidenceRef'
import { change as changeOf, money, share } from '../lib/money'
import type { View } from '../lib/view'
import { counted, GROUP_WORDS, SECOND_LEVEL } from '../lib/words'
import { ChangeText } from '../parts/ChangeText'
import { Figure } from '../parts/Figure'
import type { Overview } from './useOverview'

type Props = { parent: Member; whole: string; view: View; overview: Overview; compared: boolean; open: (evidence: EvidenceRef) => void }

const CHILDREN = 8
const SPARK_DAYS = 30

/** What one row is made of, by the second level of its dimension. Adds up to the row, by the API's own sums. */
export function ChildRows({ parent, whole, view, overview: { window, comparison, version, currency, colours }, compared, open }: Props) {
  const by = SECOND_LEVEL[view.by]
  const filters = { ...view.filters, [view.by]: [parent.id] }
  const question = { measure: [view.metric], billing_currency: [currency], group_by: [by], ...filters }
  const found = useCosts(version, { ...question, start: window.start, end: window.end, granularity: 'total', compare: comparison.compare, top: CHILDREN })
  const rows = found.data && !found.isPlaceholderData ? costRows(found.data) : []
  const kept = rows.filter(({ member }) => member.id !== OTHER).map(({ member }) => member.id)
  const sparkStart = plusDays(window.end, -SPARK_DAYS)
  const daily = useCosts(version, { ...question, start: sparkStart, end: window.end, granularity: 'daily', [by]: kept }, kept.length > 0)
  const colour = colours.get(parent.id) ?? ''
  const words = GROUP_WORDS[by]

  if (found.error) return <Told text={`The ${words.many} of ${parent.name} did not load: ${found.error.message}`} />
  if (rows.length === 0) return <Told text={`Loading the ${words.many} of ${parent.name}`} />
  const byDay = new Map((daily.data ? costRows(daily.data) : []).map(({ day, member, amount }) => [`${day} ${member.id}`, Number(amount)]))
  const days = daysOf(sparkStart, window.end)
  return rows.map(({ member, amount, previous }) => {
    const folded = member.id === OTHER
    const name = folded ? counted(member.others, `other ${words.one}`, `other ${words.many}`) : member.name
    const evidence: EvidenceRef = {
      kind: 'cell', start: window.start, end: window.end, measure: view.metric, currency, filters: { ...filters, [by]: [member.id] },
    }
    return (
      <tr key={member.id} className="child">
        <th scope="row"><span className="name">{name}</span></th>
        <td className="number wide muted">{share(amount, whole)}</td>
        <td className="number">
          {folded ? money(amount, currency) : <Figure evidence={evidence} open={open} label={`Open the charges of ${name} in ${parent.name}`} className="plain-figure">{money(amount, currency)}</Figure>}
        </td>
        {compared && <td className="number wide muted">{money(previous ?? '0', currency)}</td>}
        {compared && <td className="number"><ChangeText change={changeOf(amount, previous ?? '0', currency)} /></td>}
        {compared && <td className="wide" />}
        <td className="wide">{!folded && daily.data && <Sparkline amounts={days.map((day) => byDay.get(`${day} ${member.id}`) ?? 0)} colour={colour} />}</td>
      </tr>
    )
  })
}

function Told({ text }: { text: string }) {
  return <tr className="child"><td colSpan={7} role="status">{text}</td></tr>
}
