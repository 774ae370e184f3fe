// Time that an admission by rate limits adds to a request: one round trip to Redis, tenant and key limited.
// Run: npm run build && node bench/platform/limit-overhead.mjs [redis://host:port]
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { LocalLimiter } from '#accounts/limits/local-limiter.js';
import { RedisLimiter } from '#accounts/limits/redis-limiter.js';
import { startRedis } from '../../scripts/lib/redis.mjs';

const REQUESTS = 4_000;
const limits = { requests_per_minute: 1e9, tokens_per_minute: 1e12, concurrent_requests: 1e6 };
const subjects = [
  { id: 'tenant', kind: 'tenant', limits },
  { id: 'key', kind: 'key', limits },
];

/** Runs `admit` so many times, `parallel` at once; answers the sorted times in microseconds. */
async function measure(parallel, admit) {
  const times_us = [];
  let next = 0;
  const run = async () => {
    while (next < REQUESTS) {
      const ask = { subjects, tokens: 500, lease: `lease-${(next += 1)}` };
      const began_ms = performance.now();
      await admit(ask);
      times_us.push((performance.now() - began_ms) * 1000);
    }
  };
  await Promise.all(Array.from({ length: parallel }, run));
  return times_us.sort((a, b) => a - b);
}

const at = (sorted, share) => Math.round(sorted[Math.floor(sorted.length * share)]);
const report = (what, sorted) =>
  console.log(`${what.padEnd(28)} p50 ${at(sorted, 0.5)} us, p99 ${at(sorted, 0.99)} us`);

const folder = mkdtempSync(join(tmpdir(), 'lorikeet-limits-'));
const given = process.argv[2];
const server = given ? undefined : await startRedis({ directory: folder });
const redis = new Redis(given ?? server.url);
try {
  const shared = new RedisLimiter(redis);
  const inRedis = async (ask) => {
    await shared.admit('bench', ask);
    void shared.settle('bench', { ...ask, usedTokens: 100 });
  };
  await measure(8, inRedis); // warm
  for (const parallel of [1, 16, 64]) report(`Redis, ${parallel} at once`, await measure(parallel, inRedis));
  const local = new LocalLimiter();
  const alone = async (ask) => {
    local.admit(ask);
    local.settle({ ...ask, usedTokens: 100 });
  };
  report('one process alone', await measure(1, alone));
} finally {
  redis.disconnect();
  await server?.child.stop();
  await rm(folder, { recursive: true, force: true });
}
