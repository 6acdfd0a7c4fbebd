/** The arithmetic of the charts. Pixels may be floats: the text beside them never comes from here. */

import { max, min } from 'd3-array'
import { scaleLinear, type ScaleLinear } from 'd3-scale'
import { type Series, stack } from 'd3-shape'
import type { Column } from '../lib/columns'

export type Plot = { width: number; height: number; left: number; right: number; top: number; bottom: number }

export type Layer = Series<Column, string>

/** One layer a member, the first at the bottom. Credits larger than their charges go below zero. */
export function layersOf(columns: Column[], members: string[]): Layer[] {
  return stack<Column, string>()
    .keys(members)
    .value((column, member) => Number(column.amounts[member] ?? 0))
    .offset(apart)(columns)
}

/** Costs upwards, credits downwards. A day without either stays where the layer is, so that its line does not dip. */
function apart(series: Layer[], order: Iterable<number>): void {
  const days = series[0]?.length ?? 0
  for (let day = 0; day < days; day += 1) {
    let [up, down] = [0, 0]
    for (const member of order) {
      const point = series[member]?.[day]
      if (!point) continue
      const value = point[1] - point[0]
      if (value >= 0) {
        point[0] = up
        point[1] = up += value
      } else {
        point[1] = down
        point[0] = down += value
      }
    }
  }
}

/** Where a day stands: on the edges for areas, half a step inside of them for bars. */
export function dayScale(count: number, plot: Plot, bars: boolean): (index: number) => number {
  const room = plot.width - plot.left - plot.right
  if (bars) return (index) => plot.left + ((index + 0.5) / Math.max(1, count)) * room
  return (index) => plot.left + (index / Math.max(1, count - 1)) * room
}

/** The index of the day nearest to a pixel. */
export function nearestDay(pixel: number, count: number, plot: Plot, bars: boolean): number {
  const room = plot.width - plot.left - plot.right
  const share = (pixel - plot.left) / room
  const index = bars ? Math.floor(share * count) : Math.round(share * (count - 1))
  return Math.max(0, Math.min(count - 1, index))
}

/** From zero, always: an axis that starts higher makes small changes look large. */
export function amountScale(values: number[], plot: Plot, ticks: number): ScaleLinear<number, number> {
  const low = Math.min(0, min(values) ?? 0)
  const high = Math.max(low === 0 ? 1 : 0, max(values) ?? 1)
  return scaleLinear([low, high], [plot.height - plot.bottom, plot.top]).nice(ticks)
}

/** Which days get a label: at least `space` pixels apart, and always the first of the period. */
export function labelledDays(count: number, anchor: number, step: number, space: number): number[] {
  const every = [1, 2, 7, 14, 28].find((days) => days * step >= space) ?? 56
  return Array.from({ length: count }, (_, index) => index).filter((index) => (((index - anchor) % every) + every) % every === 0)
}

/** A slot of the palette for each member. One that had a slot keeps it: colour sticks to the member, not its rank. */
export function assignSlots(before: ReadonlyMap<string, number>, members: string[], slots: number): Map<string, number> {
  const kept = new Map(members.flatMap((id): [string, number][] => {
    const slot = before.get(id)
    return slot === undefined ? [] : [[id, slot]]
  }))
  const free = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => ![...kept.values()].includes(slot))
  return new Map(members.map((id): [string, number] => [id, kept.get(id) ?? free.shift() ?? slots]))
}
