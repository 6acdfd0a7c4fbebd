import { expect, test } from 'vitest'
import { pieces } from './template'

const facts = { f_a: { formatted: '$6,165' }, f_b: { formatted: '<b>83%</b>' } }

test('every placeholder becomes a piece of its own', () => {
  expect(pieces('{{f_a}} more, {{f_b}} of it.', facts)).toEqual([
    { text: '$6,165', fact: facts.f_a },
    { text: ' more, ' },
    { text: '<b>83%</b>', fact: facts.f_b },
    { text: ' of it.' },
  ])
})

test('what is no figure is text', () => {
  expect(pieces('{{f_gone}} and {{constructor}} and {{ f_a }}', facts)).toEqual([{ text: '{{f_gone}} and {{constructor}} and {{ f_a }}' }])
  expect(pieces('', facts)).toEqual([])
})
