import { useMe } from '../api/queries'
import type { Meta } from '../api/types'
import { currencyOf } from '../lib/currency'
import { Account } from './Account'
import { Freshness } from './Freshness'
import { Reconciliation } from './Reconciliation'
import { ThemeMenu } from './ThemeMenu'

/** Name, ways out, and how far the numbers can be trusted. */
export function TopBar({ meta, currency }: { meta: Meta | null; currency: string | null }) {
  const me = useMe(meta !== null)
  return (
    <header className="top-bar">
      <span className="brand">FinOps Intelligence</span>
      <nav aria-label="Main">
        <a href="/" aria-current="page">Overview</a>
        <a href="/docs">API</a>
        {meta?.dagster_url && <a href={meta.dagster_url}>Dagster</a>}
      </nav>
      <div className="badges">
        {meta && <Freshness meta={meta} />}
        {meta && <Reconciliation meta={meta} currency={currencyOf(currency, meta.billing_currencies)} />}
      </div>
      <Account me={me.data} />
      <ThemeMenu />
    </header>
  )
}
