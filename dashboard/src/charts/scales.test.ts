import { expect, test } from 'vitest'
import type { Column } from '../lib/columns'
import { amountScale, assignSlots, dayScale, labelledDays, layersOf, nearestDay, type Plot } from './scales'

const plot: Plot = { width: 1000, height: 400, left: 50, right: 10, top: 20, bottom: 30 }
const column = (day: string, amounts: Record<string, string>): Column => ({ day, phase: 'period', total: '0', amounts, missing: false })

test('layers stand on each other, and credits hang below zero', () => {
  const [a, b, c] = layersOf([column('2026-11-01', { a: '3', b: '2', c: '-1' })], ['a', 'b', 'c'])

  expect([a, b, c].map((layer) => [layer?.[0]?.[0], layer?.[0]?.[1]])).toEqual([[0, 3], [3, 5], [-1, 0]])
})

test('a member that costs nothing for a day stays between its neighbours', () => {
  const [, b, c] = layersOf([column('2026-11-01', { a: '3', c: '1' }), column('2026-11-02', { a: '3', b: '2', c: '1' })], ['a', 'b', 'c'])

  expect([b?.[0]?.[0], b?.[0]?.[1], c?.[0]?.[0], c?.[0]?.[1]]).toEqual([3, 3, 3, 4])
})

test.each([true, false])('a pixel leads back to its day (bars: %s)', (bars) => {
  const x = dayScale(30, plot, bars)

  for (let index = 0; index < 30; index += 1) expect(nearestDay(x(index), 30, plot, bars)).toBe(index)
  expect(nearestDay(-5, 30, plot, bars)).toBe(0)
  expect(nearestDay(5000, 30, plot, bars)).toBe(29)
})

test('the first and the last day of an area touch its edges', () => {
  const x = dayScale(30, plot, false)

  expect([x(0), x(29)]).toEqual([50, 990])
})

test.each([[[90, 100]], [[0, 0]], [[]]])('amounts start at zero: %j', (values) => {
  const y = amountScale(values, plot, 5)

  expect(y(0)).toBe(370)
  expect(y(Math.max(1, ...values))).toBeLessThan(370)
})

test('amounts below zero have room', () => {
  const y = amountScale([-40, 10], plot, 5)

  expect(y(-40)).toBeLessThanOrEqual(370)
  expect(y(0)).toBeLessThan(y(-40))
})

test('labels keep their distance and hit the first day of the period', () => {
  expect(labelledDays(30, 9, 20, 60)).toEqual([2, 9, 16, 23])
  expect(labelledDays(3, 0, 200, 60)).toEqual([0, 1, 2])
})

test('a member keeps its colour when others come and go', () => {
  const first = assignSlots(new Map(), ['a', 'b', 'c'], 7)
  const next = assignSlots(first, ['c', 'd', 'a'], 7)

  expect([...first]).toEqual([['a', 0], ['b', 1], ['c', 2]])
  expect([...next]).toEqual([['c', 2], ['d', 1], ['a', 0]])
})
