import { useState } from 'react'
import { chooseTheme, storedTheme, type Theme } from '../lib/theme'
import { Choices } from '../parts/Choices'
import { Popover } from '../parts/Popover'

/** Light and dark follow the system until somebody says otherwise. */
export function ThemeMenu() {
  const [theme, setTheme] = useState<Theme>(storedTheme)
  return (
    <Popover label="Theme" plain>
      {(close) => (
        <Choices
          title="Theme"
          chosen={theme}
          choices={[{ value: 'system', title: 'As the system' }, { value: 'light', title: 'Light' }, { value: 'dark', title: 'Dark' }]}
          choose={(chosen) => {
            chooseTheme(chosen)
            setTheme(chosen)
            close()
          }}
        />
      )}
    </Popover>
  )
}
