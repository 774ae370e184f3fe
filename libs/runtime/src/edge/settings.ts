import { z } from 'zod';
import { setting, text } from '../settings.js';
import { budgetOf } from './body-budget.js';
import { BODY_LIMITS } from './body-kinds.js';
import { EDGE_DEFAULTS, type EdgeOptions } from './edge-options.js';
import { parseTrustProxy } from './trusted-proxies.js';

const MIB = 2 ** 20;
const MIN_JSON_BYTES = 64 * 1024;
const MAX_JSON_BYTES = 64 * MIB;

/** What a public server lets callers take of it. */
export const edgeSettings = {
  jsonLimitBytes: setting(
    {
      name: 'MAX_JSON_BYTES',
      summary:
        'Largest JSON body of an inference request, and line of a batch (64K to 64M; other calls take 256K). A larger one is parsed in one piece of about 8 ms per MiB',
      defaultText: '4M',
    },
    text.bytes(BODY_LIMITS.prompt).refine((bytes) => bytes >= MIN_JSON_BYTES && bytes <= MAX_JSON_BYTES, {
      error: 'expected 64K to 64M',
    }),
  ),
  bodyBudgetBytes: setting(
    {
      name: 'MAX_BODY_BYTES_IN_FLIGHT',
      summary:
        'Memory that the bodies of all running requests may hold (16M and up): half of it those of one address, a quarter those of one key, an eighth those of one connection; more is answered 503',
      defaultText: '256M',
    },
    text
      .bytes(EDGE_DEFAULTS.budget.all)
      .refine((bytes) => bytes >= 16 * MIB, { error: 'expected 16M or more' }),
  ),
  maxConnections: setting(
    {
      name: 'MAX_CONNECTIONS',
      summary: 'Open connections; more are answered 503',
      defaultText: String(EDGE_DEFAULTS.connections.all),
    },
    text.integer(EDGE_DEFAULTS.connections.all, 16, 1_000_000),
  ),
  maxConnectionsPerAddress: setting(
    {
      name: 'MAX_CONNECTIONS_PER_ADDRESS',
      summary: 'Open connections of one address that is no proxy of `TRUST_PROXY`; more are answered 503',
      defaultText: String(EDGE_DEFAULTS.connections.address),
    },
    text.integer(EDGE_DEFAULTS.connections.address, 1, 1_000_000),
  ),
  bodyIdle_ms: setting(
    {
      name: 'BODY_IDLE_MS',
      summary:
        'Longest pause within a body, and the time after which it must have come with at least 2 KiB a second; a later one is answered 408',
      defaultText: String(EDGE_DEFAULTS.pace.idle_ms),
    },
    text.integer(EDGE_DEFAULTS.pace.idle_ms, 500, 600_000),
  ),
  trustProxy: setting(
    {
      name: 'TRUST_PROXY',
      summary:
        "Proxies whose `x-forwarded-for` names the client: how many stand in front (`1`), or their addresses (`loopback`, `private`, `10.0.0.1`, `192.0.2.0/24`, separated by commas). Limits, logs and the audit log then have the client's address",
      defaultText: 'false',
    },
    z
      .string()
      .default('false')
      .transform((value, context): EdgeOptions['trustProxy'] => {
        const parsed = parseTrustProxy(value);
        if (parsed !== undefined) return parsed;
        context.addIssue(
          `expected false, a number of proxies, or addresses separated by commas, got "${value}"`,
        );
        return z.NEVER;
      }),
  ),
};

/** For pages of other origins that call the API from a browser. */
export const corsSettings = {
  corsOrigins: setting(
    {
      name: 'CORS_ORIGINS',
      summary:
        'Origins whose pages may call the API from a browser: `https://app.example.com`, several separated by commas, or `*`',
    },
    z
      .string()
      .default('')
      .transform((value, context): readonly string[] => {
        const origins = value.split(',').flatMap((origin) => (origin.trim() === '' ? [] : [origin.trim()]));
        for (const origin of origins) {
          if (origin === '*' || (URL.canParse(origin) && new URL(origin).origin === origin)) continue;
          context.addIssue(`expected origins such as https://app.example.com, or *, got "${origin}"`);
        }
        return origins;
      }),
  ),
};

interface EdgeSettings {
  readonly jsonLimitBytes: number;
  readonly bodyBudgetBytes: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly bodyIdle_ms: number;
  readonly trustProxy: EdgeOptions['trustProxy'];
}

export function edgeOptionsOf(settings: EdgeSettings): Partial<EdgeOptions> {
  const { bodyIdle_ms, jsonLimitBytes, bodyBudgetBytes, maxConnections, maxConnectionsPerAddress } = settings;
  const { pace } = EDGE_DEFAULTS;
  const budget = budgetOf(bodyBudgetBytes);
  return {
    bodyLimits: { ...BODY_LIMITS, prompt: jsonLimitBytes },
    // One body of the largest size always fits.
    budget: { ...budget, connection: Math.max(budget.connection, jsonLimitBytes) },
    connections: { all: maxConnections, address: maxConnectionsPerAddress },
    pace: { ...pace, idle_ms: bodyIdle_ms, grace_ms: bodyIdle_ms },
    trustProxy: settings.trustProxy,
  };
}
