/** Where somebody signs in so as to come back to the very view they are looking at. */
export function signInAddress(location: { pathname: string; search: string; hash: string }): string {
  return `/auth/sign-in?next=${encodeURIComponent(location.pathname + location.search + location.hash)}`
}
