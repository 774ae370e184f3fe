import { Redis } from 'ioredis';
import type { Logger } from '#runtime/logger.js';

const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MAX_MS = 1_000;

/**
 * A connection for short commands that a request waits for: it fails at once while Redis is away, and comes back by
 * itself. It connects when `connect` is called. A Redis that hangs is told by `inTime`.
 */
export function makeRedis(url: string, logger: Logger): Redis {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: (attempt) => Math.min(attempt * 50, RECONNECT_MAX_MS),
    connectionName: 'lorikeet',
  });
  redis.on('error', (err) => logger.debug({ err }, 'the Redis connection broke'));
  return redis;
}
