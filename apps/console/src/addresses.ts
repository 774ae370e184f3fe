/** Where each page is, and how it comes. */
export const PAGES = {
  '/': () => import('./pages/home'),
  '/sign-in': () => import('./pages/sign-in'),
  '/adapters': () => import('./pages/adapters'),
  '/adapters/$adapter': () => import('./pages/adapter'),
  '/adapters/$adapter/versions/$version': () => import('./pages/version'),
  '/upload': () => import('./pages/upload'),
  '/playground': () => import('./pages/playground'),
  '/compare': () => import('./pages/compare'),
  '/moves': () => import('./pages/moves'),
  '/moves/$move': () => import('./pages/move'),
  '/merges': () => import('./pages/merges'),
  '/merges/$merge': () => import('./pages/merge'),
  '/engines': () => import('./pages/engines'),
  '/usage': () => import('./pages/usage'),
  '/requests': () => import('./pages/requests'),
  '/fine-tune': () => import('./pages/fine-tune'),
  '/tenants': () => import('./pages/tenants'),
  '/tenants/$name': () => import('./pages/tenant'),
  '/jobs': () => import('./pages/jobs'),
  '/audit': () => import('./pages/audit'),
  '/settings': () => import('./pages/settings'),
  '/maintenance': () => import('./pages/maintenance'),
} as const;

/** Under which path the console is served. */
export const BASE = '/console';

const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '');

/** The page at an address of the console, before there is a router; undefined: none is there. */
export function pageAt(pathname: string): (() => Promise<unknown>) | undefined {
  const asked = partsOf(pathname.slice(BASE.length));
  const found = Object.entries(PAGES).find(([pattern]) => {
    const parts = partsOf(pattern);
    return (
      parts.length === asked.length && parts.every((part, at) => part.startsWith('$') || part === asked[at])
    );
  });
  return found?.[1];
}
