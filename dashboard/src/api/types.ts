/** Short names for what the routes answer. The shapes are the API's, never ours. */

import type { paths } from './schema'

type Ok<Route extends keyof paths> = paths[Route] extends {
  get: { responses: { 200: { content: { 'application/json': infer Body } } } }
}
  ? Body
  : never

export type Me = Ok<'/v1/me'>
export type Meta = Ok<'/v1/meta'>
export type CostPage = Ok<'/v1/costs'>
export type CostQuery = NonNullable<paths['/v1/costs']['get']['parameters']['query']>
export type AnomalyPage = Ok<'/v1/anomalies'>
export type Anomaly = AnomalyPage['items'][number]
export type ForecastPage = Ok<'/v1/forecasts'>
export type Forecast = ForecastPage['items'][number]
export type InsightPage = Ok<'/v1/insights'>
export type Insight = InsightPage['items'][number]
export type Fact = Insight['facts'][string]
export type RecommendationPage = Ok<'/v1/recommendations'>
export type Recommendation = RecommendationPage['items'][number]
export type Evidence = Ok<'/v1/evidence'>
export type EvidenceQuery = NonNullable<paths['/v1/evidence']['get']['parameters']['query']>
