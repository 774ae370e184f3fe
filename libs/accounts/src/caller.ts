import {
  applyDecorators,
  createParamDecorator,
  type ExecutionContext,
  SetMetadata,
  UseGuards,
} from '@nestjs/common';
import type { Scope } from '#contracts/admin-api.js';
import type { FastifyRequest } from 'fastify';
import { KeyGuard } from './key.guard.js';
import {
  type AnyCaller,
  anyCallerOf,
  type Caller,
  callerOf,
  OPERATOR_ONLY,
  REQUIRED_SCOPES,
} from './request-caller.js';

export type { Scope } from '#contracts/admin-api.js';
export type { AnyCaller, Caller } from './request-caller.js';

/** The route is for keys of a tenant that have one of these scopes, and for operator keys that name a tenant. */
export const RequireScope = (...scopes: [Scope, ...Scope[]]): MethodDecorator & ClassDecorator =>
  applyDecorators(SetMetadata(REQUIRED_SCOPES, scopes), UseGuards(KeyGuard));

/** The route is for operator keys alone. */
export const RequireOperator = (): MethodDecorator & ClassDecorator =>
  applyDecorators(SetMetadata(OPERATOR_ONLY, true), UseGuards(KeyGuard));

/** The route is for every valid key, whatever its scopes; an operator key need not name a tenant. */
export const RequireKey = (): MethodDecorator & ClassDecorator => UseGuards(KeyGuard);

/** Parameter decorator: who calls, as the guard of RequireScope found out. */
export const CurrentCaller = createParamDecorator(
  (_: unknown, context: ExecutionContext): Caller =>
    callerOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** Parameter decorator: who calls, as the guard of RequireKey found out. */
export const CurrentKey = createParamDecorator(
  (_: unknown, context: ExecutionContext): AnyCaller =>
    anyCallerOf(context.switchToHttp().getRequest<FastifyRequest>()),
);
