import type { EngineView } from '../engine-handle.js';

/** An engine at one moment; named as the columns of engine_figures. */
export interface EngineSample {
  readonly engine: string;
  /** 1, or 0 where it serves nothing. */
  ready: number;
  running_requests: number;
  most_running_requests: number;
  waiting_requests: number;
  most_waiting_requests: number;
  queued_tokens: number;
  /** Of the KV cache's pages those that are held. */
  kv_share: number;
  /** Of the bytes for adapters those in use; how many are resident. */
  adapter_share: number;
  adapters: number;
}

/** With what only its status tells. */
interface WatchedEngine extends EngineSample {
  readonly state: EngineView['state'];
  /** Rows that one second of computing was worth in full batches; null: not measured yet. */
  readonly tokens_per_second: number | null;
  /** Of the rate without adapters, in steps as they were of late, and that rate; null: not measured, or idle. */
  readonly ceiling_share: number | null;
  readonly ceiling_tokens_per_second: number | null;
}

export const SAMPLE_COLUMNS = {
  summed: [
    'ready',
    'running_requests',
    'waiting_requests',
    'queued_tokens',
    'kv_share',
    'adapter_share',
    'adapters',
  ],
  most: ['most_running_requests', 'most_waiting_requests'],
} as const;

/** One for each engine that has ever answered; where two have one name, each with its address. */
export function samplesOf(views: readonly EngineView[]): WatchedEngine[] {
  const names = views.map(({ status, name }) => status?.engine ?? name);
  return views.flatMap((view, index) => {
    const name = names[index];
    if (name === undefined) return [];
    const shared = names.filter((other) => other === name).length > 1;
    return [sampleOf(view, shared ? `${name} (${new URL(view.url).host})` : name)];
  });
}

function sampleOf({ state, status }: EngineView, engine: string): WatchedEngine {
  const reached = state === 'unreachable' ? undefined : status;
  const running = reached?.load.runningRequests ?? 0;
  const waiting = reached?.load.waitingRequests ?? 0;
  return {
    engine,
    state,
    tokens_per_second: reached?.pace?.tokensPerSecond ?? null,
    ceiling_share: reached?.pace?.withoutAdapters?.share ?? null,
    ceiling_tokens_per_second: reached?.pace?.withoutAdapters?.tokensPerSecond ?? null,
    ready: state === 'ready' ? 1 : 0,
    running_requests: running,
    most_running_requests: running,
    waiting_requests: waiting,
    most_waiting_requests: waiting,
    queued_tokens: reached?.load.queuedTokens ?? 0,
    kv_share: reached ? share(reached.kv.pages - reached.kv.freePages, reached.kv.pages) : 0,
    adapter_share: reached ? share(reached.adapters.bytes, reached.adapters.limitBytes) : 0,
    adapters: reached?.adapters.resident.length ?? 0,
  };
}

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
