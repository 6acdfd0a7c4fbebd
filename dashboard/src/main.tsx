import { QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { queryClient } from './api/queries'
import { App } from './App'
import { applyTheme, storedTheme } from './lib/theme'
import './styles/index.css'

applyTheme(storedTheme())

const root = document.getElementById('root')
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queryClient()}>
        <App />
      </QueryClientProvider>
    </StrictMode>,
  )
}
