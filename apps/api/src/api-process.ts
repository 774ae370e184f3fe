import { setTimeout as sleep } from 'node:timers/promises';
import helmet from '@fastify/helmet';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { edgeOptionsOf } from '#runtime/edge/settings.js';
import { Draining, OpenRequests } from '#runtime/drain.js';
import { makeHttpApp } from '#runtime/http-app.js';
import { type Logger, makeLogger } from '#runtime/logger.js';
import { makeRegistry } from '#runtime/metrics.js';
import { OpenStreams } from '#runtime/open-streams.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { Closable, Drain } from '#runtime/shutdown.js';
import { startTracing } from '#runtime/tracing/start-tracing.js';
import { AppModule } from './app.module.js';
import { ApiErrorFilter } from './api-error-filter.js';
import { serveIndex } from './docs/index-page.js';
import { serveConsole } from './console/serve-console.js';
import { serveDocs } from './docs/serve-docs.js';
import { BaseUrl } from './pipelines/base-url.js';
import { keepAnswers } from './idempotency/idempotency.module.js';
import { bodyPipe } from './http/body-pipe.js';
import type { apiSettings } from './settings.js';

export interface ApiProcess {
  readonly app: NestFastifyApplication;
  /** Where it listens. */
  readonly url: string;
  readonly logger: Logger;
  /** Before the closables: `/health/ready` is 503, then no connection is taken, then what runs comes to its end. */
  readonly drain: Drain;
  readonly closables: readonly Closable[];
}

/** Starts the public API; tests start it in their own process as well. */
export async function startApi(settings: SettingsOf<typeof apiSettings>): Promise<ApiProcess> {
  const logger = makeLogger('api', settings.logLevel);
  const streams = new OpenStreams();
  const draining = new Draining();
  const tracing = await startTracing('api', settings, logger);
  const app = await makeHttpApp({
    module: AppModule.forRoot({ settings, logger, streams, draining, registry: makeRegistry('api') }),
    logger,
    edge: edgeOptionsOf(settings),
    accessLevel: 'info',
    tracing: tracing && { tracing, requests: 'all' },
  });
  // The one added last is the one that is asked.
  app.useGlobalFilters(new ApiErrorFilter(logger));
  app.useGlobalPipes(bodyPipe);
  if (settings.corsOrigins.length > 0) app.enableCors(corsOf(settings.corsOrigins));
  await app.register(helmet, HELMET);
  keepAnswers(app);
  serveDocs(app);
  serveIndex(app.getHttpAdapter().getInstance());
  await serveConsole(app.getHttpAdapter().getInstance(), settings.consolePath);
  const requests = new OpenRequests(app.getHttpServer(), draining);
  await app.init();
  await app.listen(settings.port, settings.host);
  const url = await app.getUrl();
  app.get(BaseUrl, { strict: false }).listensAt(url);
  logger.info({ url }, 'the API listens');
  if (settings.publicUrl === undefined)
    logger.info({ url }, 'PUBLIC_URL is not set: hooks and trainers are told this address');
  const closables = [
    { name: 'open streams', close: () => streams.abortAll('the server is shutting down') },
    { name: 'http and modules', close: () => closeInTime(app) },
    ...(tracing ? [{ name: 'traces', close: () => tracing.close() }] : []),
  ];
  const delay_ms = settings.shutdownDelay_s * 1000;
  const timeout_ms = settings.shutdownTimeout_s * 1000;
  const drain = {
    limit_ms: delay_ms + timeout_ms,
    run: async () => {
      draining.begin();
      await sleep(delay_ms);
      await requests.end(timeout_ms);
    },
  };
  return { app, url, logger, drain, closables };
}

/** What requests get to end by themselves, e.g. an upload; then their connections are cut. */
const REQUEST_GRACE_MS = 3_000;

async function closeInTime(app: NestFastifyApplication): Promise<void> {
  const cut = setTimeout(() => app.getHttpServer().closeAllConnections(), REQUEST_GRACE_MS);
  try {
    await app.close();
  } finally {
    clearTimeout(cut);
  }
}

/** Keys are sent as a header, so no cookies are allowed; the listed headers of answers are shown to the page. */
function corsOf(origins: readonly string[]) {
  return {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: SHOWN_HEADERS,
    maxAge: 600,
  };
}

const SHOWN_HEADERS = [
  'x-request-id',
  'retry-after',
  'x-should-retry',
  'idempotent-replayed',
  ...['requests', 'tokens'].flatMap((kind) =>
    ['limit', 'remaining', 'reset'].map((what) => `x-ratelimit-${what}-${kind}`),
  ),
  'location',
  'upload-offset',
  'upload-length',
  'upload-expires',
  'tus-resumable',
];

/** The page under /docs has its scripts and styles in files of its own, and styles set by its scripts. */
const HELMET = {
  contentSecurityPolicy: {
    directives: {
      defaultSrc: ["'self'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'", "'unsafe-inline'"],
      imgSrc: ["'self'", 'data:'],
      objectSrc: ["'none'"],
      frameAncestors: ["'none'"],
      upgradeInsecureRequests: null,
    },
  },
  // Set by the proxy that has the certificate.
  strictTransportSecurity: false,
};
