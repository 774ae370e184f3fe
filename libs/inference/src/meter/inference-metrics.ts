import { Inject, Injectable, Optional } from '@nestjs/common';
import { Counter, Histogram, Registry } from 'prom-client';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import { AppError } from '#runtime/app-error.js';
import { METRICS } from '#runtime/metrics.js';

export interface ObservedRequest {
  /** Absent: it was answered. */
  readonly fault: unknown;
  readonly usage: CompletionUsage;
  readonly ttft_ms: number | undefined;
  readonly total_ms: number;
}

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** What an operator watches of the inference API; tenants' numbers are in /v1/usage. */
@Injectable()
export class InferenceMetrics {
  readonly #requests: Counter;
  readonly #tokens: Counter;
  readonly #ttft: Histogram;
  readonly #duration: Histogram;

  constructor(@Optional() @Inject(METRICS) registry?: Registry) {
    const registers = [registry ?? new Registry()];
    this.#requests = new Counter({
      name: 'lorikeet_inference_requests_total',
      help: 'Requests whose model was resolved, by the error code they ended with, or "ok"',
      labelNames: ['code'],
      registers,
    });
    this.#tokens = new Counter({
      name: 'lorikeet_inference_tokens_total',
      help: 'Tokens of all requests; cached ones are among the prompt tokens too',
      labelNames: ['kind'],
      registers,
    });
    const buckets = SECONDS;
    this.#ttft = new Histogram({
      name: 'lorikeet_inference_ttft_seconds',
      help: 'Time from arrival to the first token',
      buckets,
      registers,
    });
    this.#duration = new Histogram({
      name: 'lorikeet_inference_duration_seconds',
      help: 'Time from arrival to the end of the answer',
      buckets,
      registers,
    });
  }

  observe({ fault, usage, ttft_ms, total_ms }: ObservedRequest): void {
    this.#requests.inc({ code: fault === undefined ? 'ok' : codeOf(fault) });
    this.#tokens.inc({ kind: 'prompt' }, usage.prompt_tokens);
    this.#tokens.inc({ kind: 'cached' }, usage.prompt_tokens_details.cached_tokens);
    this.#tokens.inc({ kind: 'completion' }, usage.completion_tokens);
    if (ttft_ms !== undefined) this.#ttft.observe(ttft_ms / 1000);
    this.#duration.observe(total_ms / 1000);
  }
}

function codeOf(fault: unknown): string {
  return fault instanceof AppError ? fault.code : 'internal_error';
}
