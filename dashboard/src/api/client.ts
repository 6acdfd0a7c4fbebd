/** The API, as its OpenAPI document describes it: a renamed field is a compile error, not an empty cell. */

import createClient from 'openapi-fetch'
import type { components, paths } from './schema'

export const client = createClient<paths>({ baseUrl: '', querySerializer: { array: { style: 'form', explode: true } } })

/** Only in memory: a token kept by the browser is a token left behind. */
let token: string | null = null

/** Of whoever is signed in: the API takes changes from pages that know it. */
let csrfToken: string | null = null

client.use({
  onRequest({ request }) {
    if (token) request.headers.set('Authorization', `Bearer ${token}`)
    if (csrfToken && request.method !== 'GET') request.headers.set('X-CSRF-Token', csrfToken)
    return request
  },
})

/** From here on, send this API_TOKEN along. */
export function sendToken(given: string): void {
  token = given
}

/** From here on, send this along with every change. */
export function sendCsrfToken(told: string | null): void {
  csrfToken = told
}

/** A refusal of the API, with what it said. */
export class Refused extends Error {
  readonly status: number
  readonly title: string
  readonly requestId: string

  constructor(status: number, problem: Partial<components['schemas']['Problem']> | undefined, requestId: string | null) {
    super(problem?.detail ?? 'The answer was not one of ours.')
    this.status = status
    this.title = problem?.title ?? 'NoAnswer'
    this.requestId = problem?.request_id ?? requestId ?? 'unknown'
  }
}

type Answer<T> = { data?: T; error?: unknown; response: Response }

/** The data of an answer. Throws `Refused` when there is none. */
export async function answered<T>(asked: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await asked
  if (data !== undefined && response.ok) return data
  const problem = typeof error === 'object' && error !== null ? error : undefined
  throw new Refused(response.status, problem, response.headers.get('x-request-id'))
}

/** Fetch a file and hand it to the reader: a plain link could not send the token along. */
export async function download(path: string, filename: string): Promise<void> {
  const response = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {} })
  if (!response.ok) throw new Refused(response.status, undefined, response.headers.get('x-request-id'))
  save(await response.blob(), filename)
}

/** Offer `content` as a file. */
export function save(content: Blob, filename: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = filename
  link.click()
  URL.revokeObjectURL(link.href)
}
