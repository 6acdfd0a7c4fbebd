import { OTHER, totalOf } from '../api/costs'
import { rangeText } from '../lib/days'
import type { EvidenceRef } from '../lib/evidenceRef'
import { change as changeOf, money } from '../lib/money'
import type { View } from '../lib/view'
import { GROUP_WORDS, counted } from '../lib/words'
import { ChangeText } from '../parts/ChangeText'
import { Figure } from '../parts/Figure'
import { Failed, Loading } from '../parts/PanelState'
import { CostTableRow } from './CostTableRow'
import { TOP, type Overview } from './useOverview'

type Props = {
  view: View
  overview: Overview
  setHighlight: (member: string | null) => void
  open: (evidence: EvidenceRef) => void
  change: (part: Partial<View>) => void
}

/** Who the cost belongs to, largest first, and what is inside of each. */
export function CostTable({ view, overview, setHighlight, open, change }: Props) {
  const { table, rows, window, comparison, currency } = overview
  const words = GROUP_WORDS[view.by]
  const title = `Cost by ${words.one}`
  const others = rows.find(({ member }) => member.id === OTHER)?.member.others ?? 0
  const count = rows.filter(({ member }) => member.id !== OTHER).length + others
  const total = table.data && totalOf(table.data)
  const compared = comparison.how !== 'none' && table.data?.meta.missing_days.length === 0
  const changes = compared ? rows.map(({ amount, previous }) => Number(amount) - Number(previous ?? 0)) : []
  const whole: EvidenceRef = { kind: 'cell', start: window.start, end: window.end, measure: view.metric, currency, filters: view.filters }
  return (
    <section className="panel" aria-label={title}>
      <header className="panel-head">
        <h2>{title}</h2>
        {count > 0 && <span className="head-note">{counted(count, words.one, words.many)}{others > 0 && `, top ${TOP} shown`}</span>}
      </header>
      {table.error && !table.data && <Failed what={title} error={table.error} again={() => void table.refetch()} />}
      {table.isPending && <Loading what={title} />}
      {table.data && (
        <table className={`costs${compared ? '' : ' uncompared'}${table.isPlaceholderData ? ' refreshing' : ''}`}>
          <thead>
            <tr>
              <th scope="col">{words.title}</th>
              <th scope="col" className="number wide">Share</th>
              <th scope="col" className="number">{rangeText(window.start, window.end)}</th>
              {compared && <th scope="col" className="number wide">{rangeText(comparison.start, comparison.end)}</th>}
              {compared && <th scope="col" className="number">Change</th>}
              {compared && <th scope="col" className="wide"><span className="unseen">Change, drawn</span></th>}
              <th scope="col" className="wide">Last 30 days</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <CostTableRow
                key={row.member.id}
                row={row}
                whole={total?.amount ?? '0'}
                view={view}
                overview={overview}
                compared={compared}
                reach={{ least: Math.min(0, ...changes), most: Math.max(0, ...changes) }}
                setHighlight={setHighlight}
                open={open}
                change={change}
              />
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">Total</th>
              <td className="wide" />
              <td className="number">
                {total && <Figure evidence={whole} open={open} label="Open the charges behind this total" className="plain-figure">{money(total.amount, currency)}</Figure>}
              </td>
              {compared && <td className="number wide">{total?.previous && money(total.previous, currency)}</td>}
              {compared && <td className="number">{total?.previous && <ChangeText change={changeOf(total.amount, total.previous, currency)} />}</td>}
              {compared && <td className="wide" />}
              <td className="wide" />
            </tr>
          </tfoot>
        </table>
      )}
    </section>
  )
}
