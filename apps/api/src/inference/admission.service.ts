import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Caller } from '#accounts/caller.js';
import { SpentBudgets } from '#accounts/money/spent-budgets.service.js';
import { RateLimiter } from '#accounts/limits/rate-limiter.service.js';
import { UsageService } from '#accounts/usage.service.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import type { AppError } from '#runtime/app-error.js';
import type { GenerationPlan } from './generation-plan.js';
import { tokenNeed } from './token-need.js';

export interface Admitted {
  /** Must be called once when the request has ended, with the tokens that it used. */
  readonly settle: (usedTokens: number) => void;
}

const UNLIMITED: Admitted = { settle: () => undefined };

/** Holds a request to the limits of its tenant and key, and tells the client what is left of them. */
@Injectable()
export class AdmissionService {
  constructor(
    private readonly limiter: RateLimiter,
    private readonly fleet: EngineFleet,
    private readonly usage: UsageService,
    private readonly budgets: SpentBudgets,
  ) {}

  /** Throws insufficient_quota or rate_limit_exceeded; the headers are on the answer in either case. */
  async admit(plan: GenerationPlan, caller: Caller, reply: FastifyReply): Promise<Admitted> {
    const spent = this.budgets.refusal(caller);
    if (spent) throw this.#refused(caller, spent);
    if (!this.limiter.isLimited(caller)) return UNLIMITED;
    const { maxContext } = await this.fleet.base();
    const most = Math.min(maxContext, caller.tenant.quotas.max_context ?? maxContext);
    const { refusal, headers, settle } = await this.limiter.admit(caller, tokenNeed(plan.sequences, most));
    for (const [name, value] of Object.entries(headers)) void reply.header(name, value);
    if (refusal) throw this.#refused(caller, refusal);
    return { settle };
  }

  #refused({ tenant }: Caller, refusal: AppError): AppError {
    this.usage.recordRefusal(tenant.id, refusal.code);
    return refusal;
  }
}
