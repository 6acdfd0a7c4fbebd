/** One hook a question. Keys hold the data version: when a day is rebuilt, everything is asked again. */

import {
  type InfiniteData, keepPreviousData, QueryClient, useInfiniteQuery, type UseInfiniteQueryResult, useQuery, type UseQueryResult,
} from '@tanstack/react-query'
import type { Filters } from '../lib/view'
import { answered, client, Refused, sendCsrfToken } from './client'
import type {
  AnomalyPage, CostPage, CostQuery, Evidence, EvidenceQuery, ForecastPage, InsightPage, Me, Meta, RecommendationPage,
} from './types'

const TRIES = 3
const META_EVERY_MILLISECONDS = 60_000

/** What was refused for a reason stays refused; what may work later is tried again. */
function mayWorkLater(failures: number, error: Error): boolean {
  const later = !(error instanceof Refused) || error.status >= 500
  return later && failures < TRIES - 1
}

export function queryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        retry: mayWorkLater,
        retryDelay: (failures) => 400 * 2 ** failures,
        staleTime: Number.POSITIVE_INFINITY,
        refetchOnWindowFocus: false,
        placeholderData: keepPreviousData,
      },
    },
  })
}

export function useMeta(): UseQueryResult<Meta> {
  return useQuery({
    queryKey: ['meta'],
    queryFn: ({ signal }) => answered(client.GET('/v1/meta', { signal })),
    refetchInterval: META_EVERY_MILLISECONDS,
    staleTime: META_EVERY_MILLISECONDS,
  })
}

/** Who is asking, once it is known that somebody is let in. */
export function useMe(enabled: boolean): UseQueryResult<Me> {
  return useQuery({
    queryKey: ['me'],
    queryFn: async ({ signal }) => {
      const me = await answered(client.GET('/v1/me', { signal }))
      sendCsrfToken(me.csrf_token)
      return me
    },
    enabled,
  })
}

/** End the session of this browser. */
export async function signOut(): Promise<void> {
  await answered(client.POST('/auth/sign-out'))
}

export function useCosts(version: number, query: CostQuery, enabled = true): UseQueryResult<CostPage> {
  return useQuery({
    queryKey: ['costs', version, query],
    queryFn: ({ signal }) => answered(client.GET('/v1/costs', { params: { query }, signal })),
    enabled,
  })
}

type Scope = { start: string; end: string; billing_currency: string[] } & Pick<Filters, 'project' | 'service'>

export function useAnomalies(version: number, query: Scope & { include_explained: boolean }): UseQueryResult<AnomalyPage> {
  return useQuery({
    queryKey: ['anomalies', version, query],
    queryFn: ({ signal }) => answered(client.GET('/v1/anomalies', { params: { query }, signal })),
  })
}

export function useInsights(version: number, query: Scope): UseQueryResult<InsightPage> {
  return useQuery({
    queryKey: ['insights', version, query],
    queryFn: ({ signal }) => answered(client.GET('/v1/insights', { params: { query }, signal })),
  })
}

export type ForecastScope = { scope: 'total' | 'project' | 'service'; member?: string[]; billing_currency: string[] }

/** `null` asks nothing: there is no forecast of every view. */
export function useForecast(version: number, query: ForecastScope | null): UseQueryResult<ForecastPage> {
  return useQuery({
    queryKey: ['forecast', version, query],
    queryFn: ({ signal }) => answered(client.GET('/v1/forecasts', { params: { query: query ?? {} }, signal })),
    enabled: query !== null,
  })
}

export function useRecommendations(version: number, query: Omit<Scope, 'start' | 'end'>): UseQueryResult<RecommendationPage> {
  return useQuery({
    queryKey: ['recommendations', version, query],
    queryFn: ({ signal }) => answered(client.GET('/v1/recommendations', { params: { query }, signal })),
  })
}

const ROWS_A_PAGE = 50

/** Never from a cache: evidence is recomputed when it is asked for, that is its point. */
export function useEvidence(query: EvidenceQuery): UseInfiniteQueryResult<InfiniteData<Evidence>> {
  return useInfiniteQuery({
    queryKey: ['evidence', query],
    queryFn: ({ signal, pageParam: offset }) =>
      answered(client.GET('/v1/evidence', { params: { query: { ...query, limit: ROWS_A_PAGE, offset } }, signal })),
    initialPageParam: 0,
    getNextPageParam: ({ offset, rows, row_count }) => (offset + rows.length < row_count ? offset + rows.length : null),
    staleTime: 0,
    gcTime: 0,
  })
}

type DimensionName = 'service' | 'project' | 'sku' | 'region'

export function useMembers(name: DimensionName, search: string): UseQueryResult<{ items: { id: string; name: string | null }[] }> {
  return useQuery({
    queryKey: ['members', name, search],
    queryFn: ({ signal }) =>
      answered(client.GET('/v1/dimensions/{name}/members', { params: { path: { name }, query: { search, limit: 50 } }, signal })),
  })
}
