import { Module } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';
import { IdempotentRequests } from './idempotent-requests.service.js';

/** Idempotency-Key on every POST whose caller is known. */
@Module({
  providers: [IdempotentRequests, { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor }],
})
export class IdempotencyModule {}

/** Must be called before the routes are registered. */
export function keepAnswers(app: NestFastifyApplication): void {
  const requests = app.get(IdempotentRequests, { strict: false });
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onSend', async (request, reply, payload) => {
      await requests.keep(request, reply, payload);
      return payload;
    });
}
