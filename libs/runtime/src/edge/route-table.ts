import type { FastifyInstance } from 'fastify';
import { AppError } from '#runtime/app-error.js';

/** Every route of the server, as registered. */
export class RouteTable {
  readonly #routes: { readonly method: string; readonly path: RegExp }[] = [];

  /** Must be called before the routes are registered. */
  constructor(fastify: FastifyInstance) {
    fastify.addHook('onRoute', ({ method, url }) => {
      if (url === '*') return; // every path's preflight
      for (const each of [method].flat()) this.#routes.push({ method: each, path: pathPattern(url) });
    });
  }

  methodsOf(path: string): string[] {
    return [...new Set(this.#routes.filter((route) => route.path.test(path)).map(({ method }) => method))];
  }

  /** For a request that no route takes: not_found, or method_not_allowed with the methods that the path does take. */
  fault(request: { readonly method: string; readonly url: string }): AppError {
    const path = request.url.split('?', 1)[0] ?? '/';
    const allow = this.methodsOf(path).join(', ');
    const what = `There is no ${request.method} ${path.slice(0, MAX_SHOWN_PATH)}`;
    if (allow === '') return new AppError('not_found', { message: `${what}.` });
    return new AppError('method_not_allowed', { message: `${what}; use ${allow}.`, headers: { allow } });
  }
}

const MAX_SHOWN_PATH = 200;

/** `/v1/adapters/:adapter` and `/v1/models/*` as what they match. */
function pathPattern(url: string): RegExp {
  const escaped = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/:[^/]+/g, '[^/]+').replaceAll('*', '.*')}/?$`);
}
