import { type CanActivate, type ExecutionContext, SetMetadata } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import type { EngineToken } from './engine-token.js';

const WITHOUT_TOKEN = 'without-token';

/** A route that needs no ENGINE_TOKEN. */
export const WithoutToken = (): ClassDecorator => SetMetadata(WITHOUT_TOKEN, true);

/** Lets in who knows ENGINE_TOKEN. */
export class TokenGuard implements CanActivate {
  constructor(
    private readonly token: EngineToken,
    private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    if (this.reflector.get<boolean | undefined>(WITHOUT_TOKEN, context.getClass())) return true;
    this.token.check(context.switchToHttp().getRequest<FastifyRequest>().headers.authorization);
    return true;
  }
}
