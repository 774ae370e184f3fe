import { setting, text } from '#runtime/settings.js';
import { z } from 'zod';
import { storageSettings } from './blobs/open-blob-store.js';

const databaseUrl = z
  .string({ error: 'is required: postgres://user:password@host:port/database' })
  .superRefine((value, context) => {
    const known = URL.canParse(value) && ['postgres:', 'postgresql:'].includes(new URL(value).protocol);
    if (!known) context.addIssue('expected postgres://user:password@host:port/database');
  });

const redisUrl = text.optional().superRefine((value, context) => {
  if (value === undefined) return;
  if (!URL.canParse(value) || !['redis:', 'rediss:'].includes(new URL(value).protocol)) {
    context.addIssue('expected redis://host:port or rediss://host:port');
  }
});

/** What every process that opens the stores reads. */
export const storesSettings = {
  databaseUrl: setting(
    {
      name: 'DATABASE_URL',
      summary: 'PostgreSQL >= 14',
      defaultText: 'embedded PostgreSQL under `DATA_DIR` (set by `npm start`)',
      secret: true,
    },
    databaseUrl,
  ),
  redisUrl: setting(
    {
      name: 'REDIS_URL',
      summary: 'Redis >= 6.2 for the job queue and rate limits; without it the queue lies in PostgreSQL',
      defaultText: 'a local redis-server if found (set by `npm start`), else none',
      secret: true,
    },
    redisUrl,
  ),
  databasePoolSize: setting(
    {
      name: 'DATABASE_POOL_SIZE',
      summary:
        'Connections to PostgreSQL that one process may hold; of 8 or more, one tenant leaves two to others',
      defaultText: '10',
    },
    text.integer(10, 2, 200),
  ),
  databaseStatement_ms: setting(
    {
      name: 'DATABASE_STATEMENT_MS',
      summary:
        'Longest time of one statement; a second later PostgreSQL counts as away, and what waits is answered 503',
      defaultText: '10000',
    },
    text.integer(10_000, 1_000, 600_000),
  ),
  ...storageSettings,
};
