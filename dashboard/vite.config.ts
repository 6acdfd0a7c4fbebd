import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

/** The API to talk to while `npm run dev` serves the page; the built page is served by the API itself. */
const api = process.env.FINOPS_API ?? 'http://127.0.0.1:8000'

export default defineConfig({
  plugins: [react()],
  build: {
    emptyOutDir: true,
    // The page's content policy admits files of its own origin and no data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/v1': api, '/docs': api, '/openapi.json': api } },
  test: { include: ['src/**/*.test.ts'] },
})
