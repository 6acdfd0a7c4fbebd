/** Light or dark: the system's choice, unless this browser was told otherwise. A taste, so not part of a link. */

export const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

const KEY = 'finops:theme'

export function storedTheme(): Theme {
  const stored = window.localStorage.getItem(KEY)
  return THEMES.find((theme) => theme === stored) ?? 'system'
}

export function applyTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
}

export function chooseTheme(theme: Theme): void {
  window.localStorage.setItem(KEY, theme)
  applyTheme(theme)
}
