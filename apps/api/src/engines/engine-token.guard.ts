import { createHash, timingSafeEqual } from 'node:crypto';
import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { AppError } from '#runtime/app-error.js';

export const ENGINE_TOKEN = Symbol('ENGINE_TOKEN');

/** Lets only those in who know ENGINE_TOKEN. */
@Injectable()
export class EngineTokenGuard implements CanActivate {
  readonly #expected: Buffer;

  constructor(@Inject(ENGINE_TOKEN) token: string) {
    this.#expected = digestOf(`Bearer ${token}`);
  }

  canActivate(context: ExecutionContext): boolean {
    return this.check(context.switchToHttp().getRequest<FastifyRequest>()) !== '';
  }

  /** Who calls; throws invalid_api_key. */
  check({ headers }: FastifyRequest): string {
    if (timingSafeEqual(digestOf(headers.authorization ?? ''), this.#expected)) return 'engine';
    throw new AppError('invalid_api_key', { message: 'The engine token is missing or not valid.' });
  }
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
