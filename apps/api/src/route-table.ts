import type { FastifyInstance } from 'fastify';

/** Every route of the server, as registered. */
export class RouteTable {
  readonly #routes: { readonly method: string; readonly path: RegExp }[] = [];

  /** Must be called before the routes are registered. */
  constructor(fastify: FastifyInstance) {
    fastify.addHook('onRoute', ({ method, url }) => {
      for (const each of [method].flat()) this.#routes.push({ method: each, path: pathPattern(url) });
    });
  }

  methodsOf(path: string): string[] {
    return [...new Set(this.#routes.filter((route) => route.path.test(path)).map(({ method }) => method))];
  }
}

/** `/v1/adapters/:adapter` and `/v1/models/*` as what they match. */
function pathPattern(url: string): RegExp {
  const escaped = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/:[^/]+/g, '[^/]+').replaceAll('*', '.*')}/?$`);
}
