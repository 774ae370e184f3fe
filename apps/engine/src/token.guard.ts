import { createHash, timingSafeEqual } from 'node:crypto';
import { type CanActivate, type ExecutionContext, SetMetadata } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { AppError } from '#runtime/app-error.js';

const WITHOUT_TOKEN = 'without-token';

/** A route that needs no ENGINE_TOKEN. */
export const WithoutToken = (): ClassDecorator => SetMetadata(WITHOUT_TOKEN, true);

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Lets in who knows ENGINE_TOKEN. Hashes are compared, so neither length nor content shows in the time taken. */
export class TokenGuard implements CanActivate {
  readonly #expected: Buffer;

  constructor(
    token: string,
    private readonly reflector: Reflector,
  ) {
    this.#expected = digestOf(`Bearer ${token}`);
  }

  canActivate(context: ExecutionContext): boolean {
    if (this.reflector.get<boolean | undefined>(WITHOUT_TOKEN, context.getClass())) return true;
    const { headers } = context.switchToHttp().getRequest<FastifyRequest>();
    if (timingSafeEqual(digestOf(headers.authorization ?? ''), this.#expected)) return true;
    throw new AppError('invalid_api_key', { message: 'The engine token is missing or not valid.' });
  }
}
