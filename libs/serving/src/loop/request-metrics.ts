import { Counter, Histogram, type Registry } from 'prom-client';
import type { Sequence } from './sequence.js';
import { type RequestOutcome, SECONDS } from './serving-metrics.js';
import { DRAFT_KINDS } from '../speculation/speculation.js';
import { TopAdapters } from '../residency/top-adapters.js';

export interface GoodputLimits {
  readonly ttft_ms: number;
  readonly tpot_ms: number;
}

const NO_DRAFTS = { drafted: 0, accepted: 0 };

/** Adapter versions with series of their own. */
const NAMED_ADAPTERS = 20;

/**
 * What became of requests, in all and by adapter version. The label `adapter` is `base`, the beginning of the digest of
 * one of the busiest versions, or `other`; a version that is busy no more loses its series.
 */
export class RequestMetrics {
  readonly #totalSeconds: Histogram;
  readonly #goodRequests: Counter;
  readonly #goodTokens: Counter;
  readonly #adapterRequests: Counter<'adapter'>;
  readonly #adapterTokens: Counter<'adapter' | 'kind'>;
  readonly #adapterDrafted: Counter<'adapter' | 'kind'>;
  readonly #adapterAccepted: Counter<'adapter' | 'kind'>;
  readonly #adapterGoodTokens: Counter<'adapter'>;
  readonly #adapterTtftSeconds: Histogram<'adapter'>;
  readonly #top = new TopAdapters(NAMED_ADAPTERS, (adapter) => this.#removeSeries(adapter));

  constructor(
    registry: Registry,
    private readonly limits: GoodputLimits,
  ) {
    const made = (name: string, help: string) => ({
      name: `lorikeet_engine_${name}`,
      help,
      registers: [registry],
    });
    const labelNames = ['adapter'] as const;
    const goodput = `requests with TTFT <= ${limits.ttft_ms} ms and TPOT <= ${limits.tpot_ms} ms`;
    this.#totalSeconds = new Histogram({
      ...made('request_seconds', 'Arrival to the end of requests that ended well'),
      buckets: SECONDS,
    });
    this.#goodRequests = new Counter(made('good_requests_total', `Ended ${goodput}`));
    this.#goodTokens = new Counter(made('good_tokens_total', `Completion tokens of ${goodput}`));
    this.#adapterRequests = new Counter({
      ...made('adapter_requests_total', 'Ended requests by adapter version'),
      labelNames,
    });
    this.#adapterTokens = new Counter({
      ...made(
        'adapter_tokens_total',
        'Tokens by adapter version: prompt, cached (part of prompt), completion',
      ),
      labelNames: ['adapter', 'kind'],
    });
    const kinds = { labelNames: ['adapter', 'kind'] as const };
    this.#adapterDrafted = new Counter({
      ...made('adapter_drafted_tokens_total', 'Tokens guessed ahead, by kind: ngram, prediction, draft'),
      ...kinds,
    });
    this.#adapterAccepted = new Counter({
      ...made('adapter_accepted_tokens_total', 'Guessed tokens that turned out to be the right ones'),
      ...kinds,
    });
    this.#adapterGoodTokens = new Counter({
      ...made('adapter_good_tokens_total', `Completion tokens by adapter version of ${goodput}`),
      labelNames,
    });
    this.#adapterTtftSeconds = new Histogram({
      ...made('adapter_ttft_seconds', 'Arrival to the first generated token by adapter version'),
      labelNames,
      buckets: SECONDS,
    });
  }

  ended(sequence: Sequence, outcome: RequestOutcome): void {
    const { generated, promptTokens, cachedTokens, firstToken_ms, lastToken_ms } = sequence;
    const { arrival_ms } = sequence.options;
    const adapter = this.#top.nameOf(sequence.adapter, promptTokens + generated);
    this.#adapterRequests.inc({ adapter });
    this.#adapterTokens.inc({ adapter, kind: 'prompt' }, promptTokens);
    this.#adapterTokens.inc({ adapter, kind: 'cached' }, cachedTokens);
    this.#adapterTokens.inc({ adapter, kind: 'completion' }, generated);
    this.#speculated(adapter, sequence);
    if (firstToken_ms !== undefined) {
      this.#adapterTtftSeconds.observe({ adapter }, (firstToken_ms - arrival_ms) / 1000);
    }
    if (outcome === 'cancelled' || outcome === 'error') return;
    this.#totalSeconds.observe((performance.now() - arrival_ms) / 1000);
    if (firstToken_ms === undefined) return;
    const tpot_ms = generated > 1 ? (lastToken_ms - firstToken_ms) / (generated - 1) : 0;
    if (firstToken_ms - arrival_ms > this.limits.ttft_ms || tpot_ms > this.limits.tpot_ms) return;
    this.#goodRequests.inc();
    this.#goodTokens.inc(generated);
    this.#adapterGoodTokens.inc({ adapter }, generated);
  }

  #speculated(adapter: string, { speculation }: Sequence): void {
    for (const kind of DRAFT_KINDS) {
      const { drafted, accepted } = speculation?.counts[kind] ?? NO_DRAFTS;
      if (drafted === 0) continue;
      this.#adapterDrafted.inc({ adapter, kind }, drafted);
      this.#adapterAccepted.inc({ adapter, kind }, accepted);
    }
  }

  /** The version was dropped. */
  forget(digest: string): void {
    this.#top.forget(digest);
  }

  #removeSeries(adapter: string): void {
    this.#adapterRequests.remove({ adapter });
    this.#adapterGoodTokens.remove({ adapter });
    this.#adapterTtftSeconds.remove({ adapter });
    for (const kind of DRAFT_KINDS) {
      this.#adapterDrafted.remove({ adapter, kind });
      this.#adapterAccepted.remove({ adapter, kind });
    }
    for (const kind of ['prompt', 'cached', 'completion']) this.#adapterTokens.remove({ adapter, kind });
  }
}
