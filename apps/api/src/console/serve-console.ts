import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply } from 'fastify';

/** The console as `npm run build` leaves it; index.html holds this word wherever the page's nonce belongs. */
const NONCE = '__NONCE__';

/**
 * The console's files under `/console/assets`, and its one page under every other path of `/console`, so that each
 * view has an address. Scripts and styles come from this server alone; styles that scripts insert carry a nonce.
 */
export async function serveConsole(fastify: FastifyInstance, folder: string): Promise<void> {
  const page = join(folder, 'index.html');
  if (!existsSync(page)) return;
  const html = readFileSync(page, 'utf8');
  await fastify.register(fastifyStatic, {
    root: join(folder, 'assets'),
    prefix: '/console/assets/',
    decorateReply: false,
    immutable: true, // their names hold a hash of what is in them
    maxAge: '365d',
  });
  const send = (reply: FastifyReply): FastifyReply => {
    const nonce = randomBytes(16).toString('base64');
    return reply
      .header('content-security-policy', policy(nonce))
      .header('cache-control', 'no-store')
      .type('text/html; charset=utf-8')
      .send(html.replaceAll(NONCE, nonce));
  };
  fastify.get('/console', (_request, reply) => send(reply));
  fastify.get('/console/*', (_request, reply) => send(reply));
}

function policy(nonce: string): string {
  return [
    "default-src 'self'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');
}
