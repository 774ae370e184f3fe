import { Injectable } from '@nestjs/common';
import type { Caller } from '#accounts/request-caller.js';
import { SpentBudgets } from '#accounts/money/spent-budgets.service.js';
import { RateLimiter } from '#accounts/limits/rate-limiter.service.js';
import { UsageService } from '#accounts/usage.service.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import type { ErrorCode } from '#contracts/errors.js';
import { AppError } from '#runtime/app-error.js';
import { KeptRequests } from '../kept/kept-requests.service.js';
import type { GenerationPlan } from '../plan/generation-plan.js';
import { tokenNeed } from '../plan/token-need.js';

export interface Admitted {
  /** What is left of the caller's limits, as headers of the answer, whether it may begin or not. */
  readonly headers: Readonly<Record<string, string>>;
  /** Why it may not begin: insufficient_quota or rate_limit_exceeded. */
  readonly refusal: AppError | undefined;
  /** Must be called once when a request that began has ended, with the tokens that it used. */
  readonly settle: (usedTokens: number) => void;
}

/** A request of the API, before anything is done for it. */
export interface Arrival {
  readonly plan: GenerationPlan;
  readonly caller: Caller;
  readonly requestId: string;
}

const UNLIMITED: Admitted = { headers: {}, refusal: undefined, settle: () => undefined };

/** Holds a request to the limits of its tenant and key. */
@Injectable()
export class AdmissionService {
  constructor(
    private readonly limiter: RateLimiter,
    private readonly fleet: EngineFleet,
    private readonly usage: UsageService,
    private readonly budgets: SpentBudgets,
    private readonly requests: KeptRequests,
  ) {}

  /** A request that may not begin is kept too, for tenants that keep theirs. */
  async admit(arrival: Arrival): Promise<Admitted> {
    try {
      const admitted = await this.decide(arrival);
      if (admitted.refusal) this.#refused(arrival, admitted.refusal.code);
      return admitted;
    } catch (error) {
      this.requests.refuse(arrival, error instanceof AppError ? error.code : 'internal_error');
      throw error;
    }
  }

  /** Of a request that computes nothing: it counts as one, and no tokens. */
  admitUncomputed(caller: Caller): Promise<Admitted> {
    return this.limiter.isLimited(caller)
      ? this.limiter.admit(caller, { tokens: 0, stated: true })
      : Promise.resolve(UNLIMITED);
  }

  /** As `admit`, and a refusal leaves no trace: for who waits and asks again. */
  async decide({ plan, caller }: Pick<Arrival, 'plan' | 'caller'>): Promise<Admitted> {
    const spent = this.budgets.refusal(caller);
    if (spent) return { ...UNLIMITED, refusal: spent };
    if (!this.limiter.isLimited(caller)) return UNLIMITED;
    const { maxContext } = await this.fleet.base();
    const most = Math.min(maxContext, caller.tenant.quotas.max_context ?? maxContext);
    return this.limiter.admit(caller, tokenNeed(plan.sequences, most));
  }

  #refused(arrival: Arrival, code: ErrorCode): void {
    this.usage.recordRefusal(arrival.caller.tenant.id, code);
    this.requests.refuse(arrival, code);
  }
}
