import { expect, test } from 'vitest'
import { signInAddress } from './signIn'

test('somebody comes back to the view they were looking at', () => {
  const address = signInAddress({ pathname: '/', search: '?by=service&from=2026-09-01&q=a%26b', hash: '#top' })

  expect(new URL(address, 'https://finops.example.com').searchParams.get('next')).toBe('/?by=service&from=2026-09-01&q=a%26b#top')
  expect(address.match(/[?&]/g)).toHaveLength(1)
})
