import type { Scope } from '#contracts/admin-api.js';
import type { FastifyRequest } from 'fastify';
import type { Quotas, RateLimits } from './limits/rate-limits.js';

/** A tenant as every request knows it. */
export interface KnownTenant {
  readonly id: string;
  readonly name: string;
  readonly state: 'active' | 'suspended';
  readonly quotas: Quotas;
  /** Share of the engines. */
  readonly weight: number;
}

/** Who calls: a key, and the tenant for which it acts. */
export interface Caller {
  readonly keyId: string;
  /** An operator's key, acting for the tenant that `x-tenant` names. */
  readonly operator: boolean;
  readonly scopes: readonly Scope[];
  readonly tenant: KnownTenant;
  /** Of the key alone; the tenant's quotas hold besides. */
  readonly limits: RateLimits;
}

/** As Caller, yet an operator's key need not act for a tenant. */
export type AnyCaller = Caller | (Omit<Caller, 'tenant'> & { readonly tenant: undefined });

/** Metadata keys between the decorators of caller.ts and KeyGuard. */
export const REQUIRED_SCOPES = Symbol('REQUIRED_SCOPES');
export const OPERATOR_ONLY = Symbol('OPERATOR_ONLY');

const callers = new WeakMap<FastifyRequest, AnyCaller>();

export function setCaller(request: FastifyRequest, caller: AnyCaller): void {
  callers.set(request, caller);
}

/** Undefined on a route for operators alone, and on one that takes no key. */
export function knownCallerOf(request: FastifyRequest): AnyCaller | undefined {
  return callers.get(request);
}

/** Who calls a route of RequireKey. */
export function anyCallerOf(request: FastifyRequest): AnyCaller {
  const caller = callers.get(request);
  if (!caller) throw new Error('the route has no RequireScope, so nobody knows its caller');
  return caller;
}

/** Who calls a route of RequireScope. */
export function callerOf(request: FastifyRequest): Caller {
  const caller = anyCallerOf(request);
  if (!caller.tenant) throw new Error('the route has no RequireScope, so its caller may act for no tenant');
  return caller;
}
