import { Icon } from './Icon'

type Props = { good: boolean; mark: 'dot' | 'check'; title: string; detail: string; href: string | null }

/** A state in two words, and a way to what is behind it. Bad news has another shape, not only another colour. */
export function Badge({ good, mark, title, detail, href }: Props) {
  const content = (
    <>
      {!good && <svg className="badge-warn" viewBox="0 0 12 12" aria-hidden="true"><path d="M6 .8L11.2 6 6 11.2.8 6z" /></svg>}
      {good && mark === 'dot' && <i className="badge-dot" />}
      {good && mark === 'check' && <Icon name="check" />}
      <strong>{title}</strong> <span className="badge-detail">{detail}</span>
    </>
  )
  const className = good ? 'badge' : 'badge badge-bad'
  return href ? <a className={className} href={href}>{content}</a> : <span className={className}>{content}</span>
}
