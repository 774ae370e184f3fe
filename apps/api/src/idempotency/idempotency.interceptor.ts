import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { HTTP_CODE_METADATA } from '@nestjs/common/constants.js';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { from, mergeMap, type Observable } from 'rxjs';
import { knownCallerOf } from '#accounts/request-caller.js';
import { AppError } from '#runtime/app-error.js';
import { currentRequest } from '#runtime/request-context.js';
import { IdempotentRequests } from './idempotent-requests.service.js';

const MOST_CHARACTERS = 255;
/** tus goes on where it was by a protocol of its own, and an upload that is not finished is nothing yet. */
const RESUMABLE = '/v1/uploads';

/** Binds a POST to its Idempotency-Key. It stands behind the guards, so that nobody is told what they may not ask. */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(
    private readonly requests: IdempotentRequests,
    private readonly reflector: Reflector,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const key = request.headers['idempotency-key'];
    if (key === undefined || request.method !== 'POST') return next.handle();
    const owner = ownerOf(request);
    if (owner === undefined || request.routeOptions.url === RESUMABLE) return next.handle();
    check(String(key), request);
    const status = this.reflector.get<number | undefined>(HTTP_CODE_METADATA, context.getHandler()) ?? 201;
    const begun = this.requests.begin(request, { owner, key: String(key) }, status);
    return from(begun).pipe(mergeMap(() => next.handle()));
  }
}

/** Whose keys these are: a tenant's callers of other rights have keys of their own. Undefined: nobody is known to call. */
function ownerOf(request: FastifyRequest): string | undefined {
  if (currentRequest()?.actor === undefined) return undefined;
  const caller = knownCallerOf(request);
  if (!caller?.tenant) return 'operator';
  const { tenant, operator, scopes } = caller;
  return `${tenant.id} ${operator ? 'operator' : [...scopes].sort().join(',')}`;
}

function check(key: string, { body }: FastifyRequest): void {
  if (key === '' || key.length > MOST_CHARACTERS)
    throw new AppError('invalid_request', {
      message: `Idempotency-Key: expected 1 to ${MOST_CHARACTERS} characters, got ${key.length}`,
      param: 'Idempotency-Key',
    });
  if (typeof body === 'object' && body !== null && 'stream' in body && body.stream === true)
    throw new AppError('invalid_request', {
      message: 'Idempotency-Key: a streamed answer cannot be given again; leave out the key or `stream`',
      param: 'Idempotency-Key',
    });
}
