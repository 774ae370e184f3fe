import type { EngineStatus } from '#contracts/engine-protocol.js';
import type { KvPages } from '../kv/kv-pages.js';
import type { PrefixCache } from '../kv/prefix-cache.js';
import type { OpenedModel, ServingSettings } from '../model-opening.js';
import type { AdapterTiers } from '../residency/adapter-tiers.js';
import type { Drafter } from '../speculation/drafter.js';
import type { EngineLoop } from './engine-loop.js';
import type { ServingGauges } from './serving-metrics.js';

export type ServingStatus = Omit<EngineStatus, 'engine' | 'state' | 'startedAt'>;

export interface StatusParts {
  readonly model: OpenedModel;
  readonly settings: Pick<ServingSettings, 'maxSequences' | 'maxStepTokens'>;
  readonly pages: KvPages;
  readonly prefixes: PrefixCache;
  readonly adapters: AdapterTiers;
  readonly loop: EngineLoop;
  readonly drafter: Drafter | undefined;
  /** From arrival to end: also those that are being tokenized or wait for their adapter. */
  readonly requests: number;
  /** The models are closed: nothing is known of their memory. */
  readonly isClosed: boolean;
}

export function servingStatus(parts: StatusParts): ServingStatus {
  const { model, settings, loop, drafter, isClosed } = parts;
  const { native, base, deviceReason } = model;
  const { maxSequences, maxStepTokens } = settings;
  const { tokensPerSecond, rowsPerStep, noAdapterPace, backlogTokens } = loop;
  return {
    device: native.description.device,
    deviceReason,
    base,
    load: {
      runningRequests: loop.runningRequests,
      waitingRequests: parts.requests - loop.runningRequests,
      queuedTokens: loop.queuedTokens,
    },
    kv: kvStatus(parts),
    ...(isClosed ? {} : { memory: native.memory() }),
    ...(isClosed || !drafter ? {} : { draft: drafter.status }),
    adapters: adapterStatus(parts.adapters),
    batch: {
      maxSequences,
      maxStepTokens,
      ...(rowsPerStep === undefined ? {} : { rows: rowsPerStep }),
    },
    pace: {
      backlogTokens,
      ...(tokensPerSecond === undefined ? {} : { tokensPerSecond }),
      ...(noAdapterPace === undefined ? {} : { withoutAdapters: noAdapterPace }),
      loadSeconds: parts.adapters.loadSeconds,
    },
  };
}

function kvStatus({ model, pages, prefixes }: StatusParts): ServingStatus['kv'] {
  const { kvPages, kvBytesPerPage, kvPageTokens } = model.native.description;
  return {
    pages: kvPages,
    freePages: pages.freePages,
    cachedPages: prefixes.cachedPages,
    pageTokens: kvPageTokens,
    bytes: kvPages * kvBytesPerPage,
  };
}

function adapterStatus({
  residency,
  hostBytes,
  hostDigests,
  moves,
}: AdapterTiers): ServingStatus['adapters'] {
  return {
    bytes: residency.bytes,
    limitBytes: residency.limitBytes,
    hostBytes,
    host: hostDigests,
    resident: residency.resident(),
    waiting: residency.waiting(),
    moves: [...moves],
  };
}

/** The same for the metrics. */
export function servingGauges(
  { load, kv, adapters, memory, draft }: ServingStatus,
  { hostBytes }: Pick<AdapterTiers, 'hostBytes'>,
  { cachedPages }: Pick<PrefixCache, 'cachedPages'>,
): ServingGauges {
  return {
    runningRequests: load.runningRequests,
    waitingRequests: load.waitingRequests,
    kvPagesUsed: kv.pages - kv.freePages,
    kvPages: kv.pages,
    cachedPages,
    adapters: adapters.resident.length,
    adapterBytes: adapters.bytes,
    hostAdapterBytes: hostBytes,
    memory,
    draft,
  };
}
