import type { EngineStatus } from '#contracts/engine-protocol.js';
import type { MemoryUse } from '#native-engine/native.js';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type RequestOutcome = 'stop' | 'length' | 'cancelled' | 'error';

/** What the gauges show when they are read. */
export interface ServingGauges {
  readonly runningRequests: number;
  readonly waitingRequests: number;
  readonly kvPagesUsed: number;
  readonly kvPages: number;
  readonly cachedPages: number;
  readonly adapters: number;
  readonly adapterBytes: number;
  readonly hostAdapterBytes: number;
  /** Absent once the model is closed. */
  readonly memory: MemoryUse | undefined;
  /** Absent: there is no draft model. */
  readonly draft: EngineStatus['draft'];
}

export const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const STEP_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

const MASK_SECONDS = [0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.01, 0.1];

/** The engine's metrics. No label takes a name, digest or tenant: their number has no bound. */
export class ServingMetrics {
  readonly requests: Counter<'outcome'>;
  readonly tokens: Counter<'kind'>;
  readonly preemptions: Counter;
  readonly prefixQueriedTokens: Counter;
  readonly prefixHitTokens: Counter;
  readonly prefixEvictions: Counter;
  readonly draftedTokens: Counter;
  readonly acceptedTokens: Counter;
  readonly lateMasks: Counter;
  readonly maskSeconds: Histogram;
  readonly structureSeconds: Histogram<'part'>;
  readonly adapterLoads: Counter<'outcome'>;
  readonly adapterEvictions: Counter;
  readonly adapterLookups: Counter<'tier'>;
  readonly queueSeconds: Histogram;
  readonly ttftSeconds: Histogram;
  readonly tpotSeconds: Histogram;
  readonly adapterLoadSeconds: Histogram;
  readonly stepNativeSeconds: Histogram;
  readonly stepOutsideSeconds: Histogram;
  readonly stepRows: Histogram;

  constructor(registry: Registry, gauges: () => ServingGauges) {
    const registers = [registry];
    const counter = <L extends string = never>(
      name: string,
      help: string,
      labelNames: L[] = [],
    ): Counter<L> => new Counter({ name: `lorikeet_engine_${name}`, help, labelNames, registers });
    const histogram = (name: string, help: string, buckets: number[]): Histogram =>
      new Histogram({ name: `lorikeet_engine_${name}`, help, buckets, registers });

    this.requests = counter('requests_total', 'Ended requests', ['outcome']);
    this.tokens = counter('tokens_total', 'Tokens computed: prompt, completion, or recomputed', ['kind']);
    this.preemptions = counter('preemptions_total', 'Requests that lost their KV pages to others');
    this.prefixQueriedTokens = counter(
      'prefix_queried_tokens_total',
      'Prompt tokens looked up in the prefix cache',
    );
    this.prefixHitTokens = counter('prefix_hit_tokens_total', 'Prompt tokens that the prefix cache had');
    this.prefixEvictions = counter('prefix_evicted_pages_total', 'Cached KV pages that gave way to others');
    this.draftedTokens = counter('speculation_drafted_tokens_total', 'Tokens guessed ahead by speculation');
    this.acceptedTokens = counter(
      'speculation_accepted_tokens_total',
      'Guessed tokens that turned out to be the right ones',
    );
    this.lateMasks = counter(
      'masks_late_total',
      'Tokens that were not drawn in their step as their mask was not there, and in a later one',
    );
    this.maskSeconds = histogram('mask_seconds', 'Work for the mask of one token', MASK_SECONDS);
    this.structureSeconds = new Histogram({
      name: 'lorikeet_engine_structure_seconds',
      help: 'Work for a structure that was not known, by part: translate, compile',
      labelNames: ['part'],
      buckets: STEP_SECONDS,
      registers,
    });
    this.adapterLoads = counter('adapter_loads_total', 'Adapters loaded onto the device', ['outcome']);
    this.adapterLookups = counter(
      'adapter_lookups_total',
      'Where the adapter of an arriving request was: on the device, on the host, or in storage',
      ['tier'],
    );
    this.adapterEvictions = counter('adapter_evictions_total', 'Adapters that made room for others');
    this.queueSeconds = histogram('queue_seconds', 'Arrival to the first computed token', SECONDS);
    this.ttftSeconds = histogram('ttft_seconds', 'Arrival to the first generated token', SECONDS);
    this.tpotSeconds = histogram('tpot_seconds', 'Time per generated token after the first', STEP_SECONDS);
    this.adapterLoadSeconds = histogram('adapter_load_seconds', 'Time that an adapter load took', SECONDS);
    this.stepNativeSeconds = histogram('step_native_seconds', 'Time of a step inside native', STEP_SECONDS);
    this.stepOutsideSeconds = histogram(
      'step_outside_seconds',
      'Time between two native steps',
      STEP_SECONDS,
    );
    this.stepRows = histogram('step_rows', 'Tokens computed in a step', [1, 4, 16, 64, 256, 1024, 4096]);
    this.#gauges(registry, gauges);
  }

  #gauges(registry: Registry, read: () => ServingGauges): void {
    const gauge = (name: string, help: string, value: (now: ServingGauges) => number): Gauge =>
      new Gauge({
        name: `lorikeet_engine_${name}`,
        help,
        registers: [registry],
        collect() {
          this.set(value(read()));
        },
      });
    gauge('running_requests', 'Requests in the batch', (now) => now.runningRequests);
    gauge('waiting_requests', 'Requests that wait for a place', (now) => now.waitingRequests);
    gauge('kv_pages_used', 'KV pages that requests hold', (now) => now.kvPagesUsed);
    gauge('kv_pages', 'KV pages in all', (now) => now.kvPages);
    gauge(
      'draft_kv_pages',
      'KV pages of the draft model in all; 0: there is none',
      (now) => now.draft?.kv.pages ?? 0,
    );
    gauge('draft_kv_pages_used', 'KV pages of the draft model that requests hold', ({ draft }) =>
      draft === undefined ? 0 : draft.kv.pages - draft.kv.freePages,
    );
    gauge('kv_pages_cached', 'KV pages whose prefix can be found again', (now) => now.cachedPages);
    gauge('adapters_resident', 'Adapters on the device', (now) => now.adapters);
    gauge('adapter_bytes', 'Bytes of the adapters on the device', (now) => now.adapterBytes);
    gauge('host_adapter_bytes', 'Bytes of the weights kept on the host', (now) => now.hostAdapterBytes);
    this.#memory(registry, read);
  }

  #memory(registry: Registry, read: () => ServingGauges): Gauge<'part'> {
    return new Gauge({
      name: 'lorikeet_engine_memory_bytes',
      help: "Bytes of the device's memory that the model holds, by part: weights, kv, adapters, scratch, and a draft model's",
      labelNames: ['part'],
      registers: [registry],
      collect() {
        const { memory, draft } = read();
        this.reset();
        if (memory === undefined) return;
        this.set({ part: 'weights' }, memory.weightBytes);
        this.set({ part: 'kv' }, memory.kvBytes);
        this.set({ part: 'adapters' }, memory.adapterBytes);
        this.set({ part: 'scratch' }, memory.scratchBytes);
        if (draft === undefined) return;
        this.set({ part: 'draft_weights' }, draft.memory.weightBytes);
        this.set({ part: 'draft_kv' }, draft.memory.kvBytes);
        this.set({ part: 'draft_scratch' }, draft.memory.scratchBytes);
      },
    });
  }
}
