import { type KeyboardEvent, type PointerEvent, useState } from 'react'
import { dayText, weekdayText } from '../lib/days'
import { money } from '../lib/money'
import { useNarrow } from '../lib/useNarrow'
import { useWidth } from '../lib/useWidth'
import { AmountAxis } from './AmountAxis'
import { DayAxis } from './DayAxis'
import { ForecastBand } from './ForecastBand'
import { Marks } from './Marks'
import { axisDays, type ChartModel } from './model'
import { amountScale, dayScale, layersOf, nearestDay, type Plot } from './scales'
import { StackedAreas } from './StackedAreas'
import { StackedBars } from './StackedBars'
import { Tooltip } from './Tooltip'

type Props = {
  model: ChartModel
  title: string
  /** The member that stands out; the others fade. */
  highlight: string | null
  openAnomaly: (anomalyId: string) => void
}

/** With fewer days than this there is no line to see, and each day gets a bar. */
const DAYS_FOR_AREAS = 4
const CONTEXT_DAYS_ON_A_PHONE = 9
const HEIGHT = { wide: 344, narrow: 226 }

/** Cost by day, stacked by member: what was before faded, what is still arriving hatched, what is expected dashed. */
export function StackedSeries({ model: whole, title, highlight, openAnomaly }: Props) {
  const [ref, width] = useWidth<HTMLDivElement>()
  const narrow = useNarrow()
  const [cursor, setCursor] = useState<number | null>(null)
  const model = narrow ? withLessBefore(whole) : whole
  const { columns, members, forecast, currency } = model

  const plot: Plot = { width, height: narrow ? HEIGHT.narrow : HEIGHT.wide, left: narrow ? 45 : 54, right: 8, top: 46, bottom: 24 }
  const days = axisDays(model)
  const bars = columns.filter(({ phase }) => phase === 'period').length < DAYS_FOR_AREAS
  const x = dayScale(days.length, plot, bars)
  const step = (plot.width - plot.left - plot.right) / Math.max(1, days.length)
  const layers = layersOf(columns, members.map(({ id }) => id))
  const y = amountScale([...layers.flatMap((layer) => layer.flatMap(([low, high]) => [low, high])), ...forecast.map((day) => Number(day.high_80))], plot, 5)
  const first = columns.findIndex(({ phase }) => phase === 'period')
  const at = cursor === null ? null : (days[cursor] ?? null)

  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    if (event.target !== event.currentTarget) return
    const from = cursor ?? first
    const next = { ArrowLeft: from - 1, ArrowRight: cursor === null ? from : from + 1, Home: 0, End: days.length - 1 }[event.key]
    if (next !== undefined) {
      event.preventDefault()
      setCursor(Math.max(0, Math.min(days.length - 1, next)))
    }
    if (event.key === 'Escape') setCursor(null)
  }
  const onPointerMove = (event: PointerEvent<HTMLDivElement>) => {
    const pixel = event.clientX - event.currentTarget.getBoundingClientRect().left
    setCursor(pixel < plot.left ? null : nearestDay(pixel, days.length, plot, bars))
  }

  return (
    <div
      ref={ref}
      className="chart"
      role="group"
      tabIndex={0}
      aria-label={`${title}. The left and right arrow keys read it day by day.`}
      onKeyDown={onKeyDown}
      onPointerMove={onPointerMove}
      onPointerLeave={() => setCursor(null)}
      onBlur={() => setCursor(null)}
    >
      {width > 0 && (
        <>
          <svg width={width} height={plot.height} aria-hidden="true">
            <AmountAxis y={y} plot={plot} currency={currency} />
            <DayAxis days={days} x={x} step={step} anchor={first} plot={plot} />
            {bars ? (
              <StackedBars model={model} layers={layers} x={x} y={y} width={Math.min(48, step * 0.7)} highlight={highlight} />
            ) : (
              <StackedAreas model={model} layers={layers} x={x} y={y} step={step} highlight={highlight} />
            )}
            <ForecastBand model={model} days={days} x={x} y={y} />
            {first > 0 && (
              <g className="boundary">
                <line x1={x(first) - (bars ? step / 2 : 0)} x2={x(first) - (bars ? step / 2 : 0)} y1={plot.top - 26} y2={plot.height - plot.bottom} />
                {!narrow && <text x={x(first) + 6} y={plot.top - 30}>Selected period</text>}
              </g>
            )}
            {forecast.length > 0 && !narrow && (
              <text className="note" x={plot.width - plot.right} y={plot.top - 30} textAnchor="end">Forecast, 80% interval</text>
            )}
            {cursor !== null && <line className="cursor" x1={x(cursor)} x2={x(cursor)} y1={plot.top - 20} y2={plot.height - plot.bottom} />}
          </svg>
          <Marks model={model} days={days} x={x} y={y} open={openAnomaly} />
          {cursor !== null && at && <Tooltip model={model} day={at} x={x(cursor)} width={width} />}
        </>
      )}
      <div className="unseen" role="status">{at && spoken(model, at)}</div>
    </div>
  )
}

function withLessBefore(model: ChartModel): ChartModel {
  const first = model.columns.findIndex(({ phase }) => phase === 'period')
  return { ...model, columns: model.columns.slice(Math.max(0, first - CONTEXT_DAYS_ON_A_PHONE)) }
}

function spoken({ columns, forecast, currency }: ChartModel, day: string): string {
  const column = columns.find((one) => one.day === day)
  const expected = forecast.find((one) => one.usage_day === day)
  if (column) return `${weekdayText(day)}: ${column.missing ? 'not loaded' : money(column.total, currency)}${column.phase === 'arriving' ? ', still arriving' : ''}`
  return expected ? `${dayText(day)}: ${money(expected.expected_cost, currency)} expected` : ''
}
