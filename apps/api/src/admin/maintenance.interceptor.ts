import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { AppError } from '#runtime/app-error.js';
import { currentRequest } from '#runtime/request-context.js';
import { MaintenanceService } from '#stores/maintenance/maintenance.service.js';
import type { FastifyRequest } from 'fastify';
import type { Observable } from 'rxjs';

const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Turns away what maintenance mode stops. It stands behind the guards, so it knows whether an operator calls. */
@Injectable()
export class MaintenanceInterceptor implements NestInterceptor {
  constructor(private readonly maintenance: MaintenanceService) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { enabled, message, retry_after_s } = this.maintenance.current;
    if (!enabled) return next.handle();
    const { method } = context.switchToHttp().getRequest<FastifyRequest>();
    if (READS.has(method) || currentRequest()?.actor?.type === 'operator') return next.handle();
    throw new AppError('maintenance', { message, retryAfter_s: retry_after_s });
  }
}
