import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  retainSearchParams,
} from '@tanstack/react-router';
import { Layout } from './layout/layout';
import { Missing } from './layout/missing';
import { BASE, PAGES } from './addresses';

interface RootSearch {
  /** The tenant for which an operator acts. */
  readonly tenant?: string;
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : undefined;

/** Any view's own part of the address; what is not text is left out. */
function texts<const N extends string>(...names: N[]) {
  return (search: Record<string, unknown>): { [K in N]?: string } =>
    Object.fromEntries(
      names.flatMap((name) => (text(search[name]) === undefined ? [] : [[name, text(search[name])]])),
    ) as {
      [K in N]?: string;
    };
}

const root = createRootRoute({
  component: Layout,
  notFoundComponent: Missing,
  validateSearch: (search: Record<string, unknown>): RootSearch => {
    const tenant = text(search.tenant);
    return tenant === undefined ? {} : { tenant };
  },
  search: { middlewares: [retainSearchParams<RootSearch>(['tenant'])] },
});

const overview = createRoute({
  getParentRoute: () => root,
  path: '/',
  validateSearch: texts('range'),
  component: lazyRouteComponent(PAGES['/'], 'Home'),
});
const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: texts('next', 'refused', 'request'),
  component: lazyRouteComponent(PAGES['/sign-in'], 'SignIn'),
});
const adapters = createRoute({
  getParentRoute: () => root,
  path: '/adapters',
  validateSearch: texts('name', 'label', 'state', 'digest'),
  component: lazyRouteComponent(PAGES['/adapters'], 'Adapters'),
});
const adapter = createRoute({
  getParentRoute: () => root,
  path: '/adapters/$adapter',
  validateSearch: texts('tab', 'canary'),
  component: lazyRouteComponent(PAGES['/adapters/$adapter'], 'AdapterPage'),
});
const version = createRoute({
  getParentRoute: () => root,
  path: '/adapters/$adapter/versions/$version',
  component: lazyRouteComponent(PAGES['/adapters/$adapter/versions/$version'], 'VersionPage'),
});
const upload = createRoute({
  getParentRoute: () => root,
  path: '/upload',
  validateSearch: texts('adapter', 'from', 'of', 'operation'),
  component: lazyRouteComponent(PAGES['/upload'], 'Upload'),
});
const playground = createRoute({
  getParentRoute: () => root,
  path: '/playground',
  validateSearch: texts('model', 'mode', 'request'),
  component: lazyRouteComponent(PAGES['/playground'], 'Playground'),
});
const compare = createRoute({
  getParentRoute: () => root,
  path: '/compare',
  validateSearch: texts('models', 'set'),
  component: lazyRouteComponent(PAGES['/compare'], 'Compare'),
});
const moves = createRoute({
  getParentRoute: () => root,
  path: '/moves',
  validateSearch: texts('start', 'adapter'),
  component: lazyRouteComponent(PAGES['/moves'], 'Moves'),
});
const move = createRoute({
  getParentRoute: () => root,
  path: '/moves/$move',
  validateSearch: texts('state'),
  component: lazyRouteComponent(PAGES['/moves/$move'], 'MovePage'),
});
const merges = createRoute({
  getParentRoute: () => root,
  path: '/merges',
  validateSearch: texts('of'),
  component: lazyRouteComponent(PAGES['/merges'], 'Merges'),
});
const merge = createRoute({
  getParentRoute: () => root,
  path: '/merges/$merge',
  component: lazyRouteComponent(PAGES['/merges/$merge'], 'MergePage'),
});
const engines = createRoute({
  getParentRoute: () => root,
  path: '/engines',
  component: lazyRouteComponent(PAGES['/engines'], 'Engines'),
});
const usage = createRoute({
  getParentRoute: () => root,
  path: '/usage',
  validateSearch: texts('days', 'by', 'range'),
  component: lazyRouteComponent(PAGES['/usage'], 'Usage'),
});
const requests = createRoute({
  getParentRoute: () => root,
  path: '/requests',
  validateSearch: texts('tail', 'failed', 'request'),
  component: lazyRouteComponent(PAGES['/requests'], 'Requests'),
});
const fineTune = createRoute({
  getParentRoute: () => root,
  path: '/fine-tune',
  validateSearch: texts('tab', 'hook', 'endpoint'),
  component: lazyRouteComponent(PAGES['/fine-tune'], 'FineTune'),
});
const tenants = createRoute({
  getParentRoute: () => root,
  path: '/tenants',
  component: lazyRouteComponent(PAGES['/tenants'], 'Tenants'),
});
const tenant = createRoute({
  getParentRoute: () => root,
  path: '/tenants/$name',
  component: lazyRouteComponent(PAGES['/tenants/$name'], 'TenantPage'),
});
const jobs = createRoute({
  getParentRoute: () => root,
  path: '/jobs',
  validateSearch: texts('queue', 'state'),
  component: lazyRouteComponent(PAGES['/jobs'], 'Jobs'),
});
const audit = createRoute({
  getParentRoute: () => root,
  path: '/audit',
  validateSearch: texts('action', 'actor', 'subject'),
  component: lazyRouteComponent(PAGES['/audit'], 'Audit'),
});
const settings = createRoute({
  getParentRoute: () => root,
  path: '/settings',
  validateSearch: texts('find'),
  component: lazyRouteComponent(PAGES['/settings'], 'Settings'),
});
const maintenance = createRoute({
  getParentRoute: () => root,
  path: '/maintenance',
  component: lazyRouteComponent(PAGES['/maintenance'], 'Maintenance'),
});

export const router = createRouter({
  routeTree: root.addChildren([
    overview,
    signIn,
    adapters,
    adapter,
    version,
    upload,
    playground,
    compare,
    moves,
    move,
    merges,
    merge,
    engines,
    usage,
    requests,
    fineTune,
    tenants,
    tenant,
    jobs,
    audit,
    maintenance,
    settings,
  ]),
  basepath: BASE,
  defaultPreload: 'intent',
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
