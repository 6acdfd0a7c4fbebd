import { useState } from 'react'
import { useMembers } from '../api/queries'
import { GROUPS, type Group, type View } from '../lib/view'
import { GROUP_WORDS } from '../lib/words'

type Props = { view: View; change: (part: Partial<View>) => void }

/** Search the members of a dimension, and keep only what is chosen. */
export function AddFilter({ view, change }: Props) {
  const [group, setGroup] = useState<Group>('service')
  const [search, setSearch] = useState('')
  const found = useMembers(group, search)
  const taken = view.filters[group] ?? []
  const members = (found.data?.items ?? []).filter(({ id }) => !taken.includes(id))
  const add = (id: string) => change({ filters: { ...view.filters, [group]: [...taken, id] } })
  return (
    <div className="add-filter">
      <label>
        Filter by
        <select value={group} onChange={(event) => setGroup(GROUPS.find((one) => one === event.target.value) ?? 'service')}>
          {GROUPS.map((one) => <option key={one} value={one}>{GROUP_WORDS[one].title}</option>)}
        </select>
      </label>
      <label>
        Search {GROUP_WORDS[group].many}
        <input type="search" value={search} maxLength={100} onChange={(event) => setSearch(event.target.value)} />
      </label>
      <ul>
        {members.map(({ id, name }) => (
          <li key={id}>
            <button type="button" onClick={() => add(id)}><span>{name ?? id}</span>{name !== null && name !== id && <small>{id}</small>}</button>
          </li>
        ))}
      </ul>
      {found.data && members.length === 0 && <p className="popover-note">No {GROUP_WORDS[group].one} is called that.</p>}
      {found.error && <p className="popover-note">The {GROUP_WORDS[group].many} did not load: {found.error.message}</p>}
    </div>
  )
}
