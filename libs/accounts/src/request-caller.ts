import type { Scope } from '#contracts/admin-api.js';
import type { FastifyRequest } from 'fastify';

/** Who calls: a key, and the tenant for which it acts. */
export interface Caller {
  readonly keyId: string;
  /** An operator's key, acting for the tenant that `x-tenant` names. */
  readonly operator: boolean;
  readonly scopes: readonly Scope[];
  readonly tenant: { readonly id: string; readonly name: string };
}

/** Metadata keys between the decorators of caller.ts and KeyGuard. */
export const REQUIRED_SCOPES = Symbol('REQUIRED_SCOPES');
export const OPERATOR_ONLY = Symbol('OPERATOR_ONLY');

const callers = new WeakMap<FastifyRequest, Caller>();

export function setCaller(request: FastifyRequest, caller: Caller): void {
  callers.set(request, caller);
}

export function callerOf(request: FastifyRequest): Caller {
  const caller = callers.get(request);
  if (!caller) throw new Error('the route has no RequireScope, so nobody knows its caller');
  return caller;
}
