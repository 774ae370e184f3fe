import type { FastifyRequest } from 'fastify';
import type { BodyBudgetLimits } from './body-budget.js';
import { budgetOf } from './body-budget.js';
import { BODY_LIMITS, type BodyLimits } from './body-kinds.js';
import type { ConnectionLimits } from './connection-limits.js';
import type { BodyPace } from './incoming-bodies.js';

/** Says who may send a body, before any of it is read. */
export abstract class Admission {
  /** Whose the body is, to share memory and time by. Throws AppError for a caller that may not send one. */
  abstract admit(request: FastifyRequest): Promise<string>;
}

/** What callers may take of a process. */
export interface EdgeOptions {
  readonly bodyLimits: BodyLimits;
  readonly budget: BodyBudgetLimits;
  readonly connections: ConnectionLimits;
  readonly pace: BodyPace;
  readonly headers_ms: number;
  /** Proxies whose `x-forwarded-for` is believed: how many hops, or their addresses. */
  readonly trustProxy: number | readonly string[] | false;
}

export const EDGE_DEFAULTS: EdgeOptions = {
  bodyLimits: BODY_LIMITS,
  budget: budgetOf(256 * 2 ** 20),
  connections: { all: 4_096, address: 1_024 },
  pace: { idle_ms: 15_000, minRate: 2_048, grace_ms: 15_000 },
  headers_ms: 10_000,
  trustProxy: false,
};
