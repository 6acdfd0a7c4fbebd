import { useState } from 'react'
import type { Meta } from '../api/types'
import { dayText, isDay, plusDays } from '../lib/days'
import type { Window } from '../lib/period'
import { PERIODS, type View } from '../lib/view'
import { PERIOD_WORDS } from '../lib/words'
import { Choices } from '../parts/Choices'

type Props = { meta: Meta; view: View; window: Window; change: (part: Partial<View>) => void; close: () => void }

/** A period by its name, or by its first and last day. Days are those of the billing export. */
export function PeriodChoice({ meta, view, window, change, close }: Props) {
  const [from, setFrom] = useState(window.start)
  const [to, setTo] = useState(plusDays(window.end, -1))
  const valid = isDay(from) && isDay(to) && from <= to
  const choices = PERIODS.map((value) => ({ value, title: PERIOD_WORDS[value] }))
  return (
    <>
      <Choices
        title="Period"
        choices={choices}
        chosen={typeof view.period === 'string' ? view.period : null}
        choose={(period) => {
          change({ period })
          close()
        }}
      />
      <form
        className="days"
        onSubmit={(event) => {
          event.preventDefault()
          change({ period: { from, to } })
          close()
        }}
      >
        <label>First day<input type="date" value={from} min={meta.first_usage_day} max={meta.last_usage_day} onChange={(event) => setFrom(event.target.value)} /></label>
        <label>Last day<input type="date" value={to} min={meta.first_usage_day} max={meta.last_usage_day} onChange={(event) => setTo(event.target.value)} /></label>
        <button type="submit" className="secondary" disabled={!valid}>Show these days</button>
      </form>
      <p className="popover-note">Complete usage days only, to {dayText(meta.complete_through)}.</p>
    </>
  )
}
