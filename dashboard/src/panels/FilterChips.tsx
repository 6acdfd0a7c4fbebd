import { useMembers } from '../api/queries'
import { GROUPS, type Group, type View } from '../lib/view'
import { GROUP_WORDS } from '../lib/words'
import { Icon } from '../parts/Icon'

type Props = { view: View; change: (part: Partial<View>) => void }

/** Each filter that is on, with a way to take it off. */
export function FilterChips({ view, change }: Props) {
  return GROUPS.flatMap((group) => (view.filters[group] ?? []).map((member) => (
    <Chip key={`${group} ${member}`} group={group} member={member} remove={() => change({ filters: removed(view, group, member) })} />
  )))
}

function Chip({ group, member, remove }: { group: Group; member: string; remove: () => void }) {
  const found = useMembers(group, member.slice(0, 100))
  const name = found.data?.items.find(({ id }) => id === member)?.name ?? member
  return (
    <span className="chip">
      <span>{GROUP_WORDS[group].title}: {name}</span>
      <button type="button" aria-label={`Remove ${GROUP_WORDS[group].one} filter: ${name}`} onClick={remove}><Icon name="close" /></button>
    </span>
  )
}

function removed({ filters }: View, group: Group, member: string): View['filters'] {
  const left = (filters[group] ?? []).filter((one) => one !== member)
  const others = Object.fromEntries(Object.entries(filters).filter(([name]) => name !== group))
  return left.length > 0 ? { ...others, [group]: left } : others
}
