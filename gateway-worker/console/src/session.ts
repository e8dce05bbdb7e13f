// The API key: kept for this tab only, and never left in the address bar or the history.

const slot = 'reelmill.key';

/** The key of this tab; a `#key=…` in the address is taken over and removed from it. */
export function takeKey(): string | null {
  const match = /^#key=([^&]+)$/.exec(location.hash);
  if (match?.[1]) {
    history.replaceState(null, '', location.pathname + location.search);
    let key = match[1];
    try {
      key = decodeURIComponent(key);
    } catch {
      // Not percent-encoded: taken as it stands.
    }
    setKey(key);
  }
  return sessionStorage.getItem(slot);
}

export function setKey(key: string): void {
  sessionStorage.setItem(slot, key);
}

export function forgetKey(): void {
  sessionStorage.removeItem(slot);
}
