import { Injectable } from '@nestjs/common';
import type { KnownTenant } from '#accounts/request-caller.js';
import { RequestLog } from '#accounts/request-log/request-log.service.js';
import { RequestLogSettings } from '#accounts/request-log/request-log-settings.service.js';
import type { ErrorCode } from '#contracts/errors.js';
import type { GenerationPlan } from '../plan/generation-plan.js';
import { RequestMeter } from '../meter/request-meter.js';
import { RequestRecord } from './request-record.js';

interface Asked {
  readonly plan: GenerationPlan;
  readonly caller: { readonly keyId: string; readonly tenant: Pick<KnownTenant, 'id'> };
  readonly requestId: string;
}

interface Ended {
  readonly call: Asked;
  /** What answered; a request that was refused before it had a model has neither. */
  readonly served: { readonly adapter: string | undefined; readonly version: number | undefined };
  readonly meter: RequestMeter;
  readonly record: RequestRecord;
}

/** Keeps requests for the tenants that want it, text only for those that want that too. */
@Injectable()
export class KeptRequests {
  constructor(
    private readonly settings: RequestLogSettings,
    private readonly log: RequestLog,
  ) {}

  /** Undefined: nothing of it is kept. */
  begin({ plan, caller }: Asked): RequestRecord | undefined {
    const kept = this.settings.of(caller.tenant.id);
    return kept && new RequestRecord(plan, kept.text);
  }

  end(
    { call: { plan, caller, requestId }, served: { adapter, version }, meter, record }: Ended,
    code: ErrorCode | undefined,
  ): void {
    const { usage, queue_ms, ttft_ms, total_ms, tpot } = meter;
    this.log.add({
      ...record.recorded,
      tenant_id: caller.tenant.id,
      request_id: requestId,
      key_id: caller.keyId,
      model: plan.model,
      adapter: adapter ?? null,
      version: version ?? null,
      code: code ?? null,
      prompt_tokens: usage.prompt_tokens,
      cached_tokens: usage.prompt_tokens_details.cached_tokens,
      completion_tokens: usage.completion_tokens,
      queue_ms: queue_ms ?? null,
      ttft_ms: ttft_ms ?? null,
      tpot_ms: tpot.sequences === 0 ? null : tpot.sum_ms / tpot.sequences,
      total_ms,
    });
  }

  /** A request that was refused before it had a model. */
  refuse(call: Asked, code: ErrorCode): void {
    const record = this.begin(call);
    if (record)
      this.end({ call, served: NOTHING, meter: new RequestMeter(call.plan.sequences), record }, code);
  }
}

const NOTHING = { adapter: undefined, version: undefined };
