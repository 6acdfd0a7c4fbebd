import { describe, expect, test } from 'vitest'
import { DEFAULT_VIEW, readView, type View, writeView } from './view'

const view = (changed: Partial<View>): View => ({ ...DEFAULT_VIEW, ...changed })

describe('the address', () => {
  test('is empty for what everybody sees first', () => {
    expect(writeView(DEFAULT_VIEW)).toBe('')
    expect(readView('')).toEqual({ view: DEFAULT_VIEW, dropped: [] })
  })

  // Links that were sent once must open for ever: a line here is never changed, only added.
  test.each<[string, Partial<View>]>([
    ['?period=30d', { period: '30d' }],
    ['?from=2026-11-01&to=2026-11-20', { period: { from: '2026-11-01', to: '2026-11-20' } }],
    ['?cmp=month', { compare: 'month' }],
    ['?cmp=previous', { compare: 'previous' }],
    ['?cmp=none&by=project&metric=list_cost&cur=EUR', { compare: 'none', by: 'project', metric: 'list_cost', currency: 'EUR' }],
    ['?f=service:6F81-5844-456A&f=project:nw-archive', { filters: { service: ['6F81-5844-456A'], project: ['nw-archive'] } }],
    ['?f=project:a:b&view=cumulative&open=6F81&open=24E6', { filters: { project: ['a:b'] }, chart: 'cumulative', open: ['6F81', '24E6'] }],
    ['?ev=insight/abc/f_change', { evidence: { kind: 'insight', id: 'abc', fact: 'f_change' } }],
    ['?ev=anomaly/abc', { evidence: { kind: 'anomaly', id: 'abc' } }],
    ['?show=savings&ev=saving/r1/f_cost', { savings: true, evidence: { kind: 'saving', id: 'r1', fact: 'f_cost' } }],
    [
      '?ev=cell/2026-11-01/2026-11-22/billed_cost/USD&ev_f=project:(unattributed)',
      {
        evidence: {
          kind: 'cell', start: '2026-11-01', end: '2026-11-22', measure: 'billed_cost', currency: 'USD',
          filters: { project: ['(unattributed)'] },
        },
      },
    ],
  ])('keeps opening %s', (search, changed) => {
    expect(readView(search)).toEqual({ view: view(changed), dropped: [] })
  })

  test.each<Partial<View>>([
    { filters: { service: ['a&b=c', 'ü/ %'], project: ['(unattributed)'] }, open: ['x?y#z'] },
    { evidence: { kind: 'insight', id: 'a/b', fact: 'f_1' } },
    { evidence: { kind: 'cell', start: '2026-02-28', end: '2026-03-01', measure: 'cost', currency: 'JPY', filters: { sku: ['<b>'] } } },
    { period: 'lastmonth', chart: 'table', savings: true },
  ])('says all of a view: %o', (changed) => {
    expect(readView(writeView(view(changed)))).toEqual({ view: view(changed), dropped: [] })
  })

  test.each([
    ['?utm_source=mail', ['utm_source']],
    ['?by=colour', ['by']],
    ['?from=2026-02-31&to=2026-03-01', ['from', 'to']],
    ['?from=2026-03-02&to=2026-03-01', ['from', 'to']],
    ['?from=2026-03-02', ['from']],
    ['?f=colour:red', ['f']],
    ['?cur=dollars', ['cur']],
    ['?ev=insight/%25E0%25A4%25A/f', ['ev']],
    ['?ev=cell/2026-11-02/2026-11-01/billed_cost/USD', ['ev']],
  ])('drops what it does not understand, and names it: %s', (search, dropped) => {
    expect(readView(search)).toEqual({ view: DEFAULT_VIEW, dropped })
  })
})
