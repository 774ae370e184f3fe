import type { FastifyInstance } from 'fastify';

/** What `/` leads to, as far as this server has it. */
const PLACES = [
  { name: 'console', path: '/console', text: 'The operator\u2019s console' },
  { name: 'docs', path: '/docs', text: 'The API, to read and to try' },
  { name: 'openapi', path: '/openapi.json', text: 'The API as an OpenAPI document' },
  { name: 'models', path: '/v1/models', text: 'What your key may call' },
  { name: 'health', path: '/health/ready', text: 'Whether it can serve now' },
] as const;

/** `/`: a page of links in a browser, the same as JSON for everybody else. */
export function serveIndex(fastify: FastifyInstance): void {
  fastify.get('/', (request, reply) => {
    const places = PLACES.filter(({ path }) => fastify.hasRoute({ method: 'GET', url: path }));
    if (request.headers.accept?.includes('text/html')) {
      const links = places.map(
        ({ path, text }) => `<li><a href="${path}">${text}</a> <code>${path}</code></li>`,
      );
      return reply.type('text/html; charset=utf-8').send(page(links));
    }
    const links = Object.fromEntries(places.map(({ name, path }) => [name, path]));
    return reply.send({ object: 'index', name: 'lorikeet', ...links });
  });
}

const page = (links: readonly string[]) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Lorikeet</title>
<meta name="viewport" content="width=device-width"></head>
<body><h1>Lorikeet</h1><ul>
${links.join('\n')}
</ul></body></html>
`;
