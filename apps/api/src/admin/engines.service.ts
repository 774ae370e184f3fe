import { Injectable } from '@nestjs/common';
import { type DigestOwner, DigestOwners } from '#adapters/registry/digest-owners.service.js';
import type { EngineStatus } from '#contracts/engine-protocol.js';
import type { EngineResource, Fit, FitQuery } from '#contracts/engines-api.js';
import type { List } from '#contracts/resource.js';
import { fitOf } from '#fleet/adapter-fit.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import type { EngineView } from '#fleet/engine-handle.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { DataSource } from 'typeorm';

type Owners = ReadonlyMap<string, readonly DigestOwner[]>;

/** The fleet as an operator sees it. */
@Injectable()
export class EnginesService {
  constructor(
    private readonly fleet: EngineFleet,
    private readonly owners: DigestOwners,
    private readonly database: DataSource,
  ) {}

  /** Every engine: those of ENGINE_URLS in that order, then those that registered themselves. */
  async list(): Promise<List<EngineResource>> {
    const views = this.fleet.statuses();
    const owners = await this.#ownersOf(views);
    const data = views.map((view) => engineResource(view, owners));
    return { object: 'list', data, has_more: false, last_id: data.at(-1)?.id ?? null };
  }

  async get(idOrName: string): Promise<EngineResource> {
    const view = this.fleet.find(idOrName);
    if (!view) throw new AppError('not_found', { message: 'There is no such engine.' });
    return engineResource(view, await this.#ownersOf([view]));
  }

  async setDrained(idOrName: string, drained: boolean): Promise<EngineResource> {
    const before = await this.get(idOrName);
    const view = await this.database.transaction(async (manager) => {
      await AuditLog.record(manager, {
        action: drained ? 'engine.drain' : 'engine.undrain',
        subject: { type: 'engine', id: before.id },
        before: { name: before.name, state: before.state },
      });
      return this.fleet.setDrained(idOrName, drained); // a failure takes the entry back
    });
    return engineResource(view, await this.#ownersOf([view]));
  }

  /** What adapters of a shape would cost on it. */
  fit(idOrName: string, query: FitQuery): Fit {
    const view = this.fleet.find(idOrName);
    if (!view) throw new AppError('not_found', { message: 'There is no such engine.' });
    const { status } = view;
    if (!status?.base)
      throw new AppError('engine_unavailable', { message: 'The engine has not loaded its base model yet.' });
    return fitOf(status.base, query, {
      limitBytes: status.adapters.limitBytes,
      maxSequences: status.batch?.maxSequences,
    });
  }

  #ownersOf(views: readonly EngineView[]): Promise<Owners> {
    return this.owners.find(
      views.flatMap(({ status }) => {
        const { resident = [], host = [], waiting = [], moves = [] } = status?.adapters ?? {};
        return [...host, ...[...resident, ...waiting, ...moves].map(({ digest }) => digest)];
      }),
    );
  }
}

const NOTHING: Pick<EngineStatus, 'load' | 'kv' | 'adapters' | 'batch' | 'pace'> = {
  load: { runningRequests: 0, waitingRequests: 0, queuedTokens: 0 },
  kv: { pages: 0, freePages: 0, pageTokens: 0, bytes: 0 },
  adapters: { bytes: 0, limitBytes: 0, resident: [] },
};

function engineResource(
  { url, state, status, error, openStreams, source, name }: EngineView,
  owners: Owners,
): EngineResource {
  const reached = state === 'unreachable' ? undefined : status;
  const { load, kv, adapters, batch, pace } = reached ?? NOTHING;
  const startedAt = status?.startedAt;
  const named = (digest: string) => ({ digest, versions: [...(owners.get(digest) ?? [])] });
  return {
    id: new URL(url).host,
    object: 'engine',
    name: status?.engine ?? name ?? null,
    state,
    source,
    error: error ?? null,
    device: status?.device ?? null,
    device_reason: status?.deviceReason ?? null,
    started_at: startedAt ?? null,
    uptime_s: startedAt === undefined ? null : (Date.now() - Date.parse(startedAt)) / 1000,
    base_model: baseModel(status),
    load: {
      running_requests: load.runningRequests,
      waiting_requests: load.waitingRequests,
      queued_tokens: load.queuedTokens,
      open_streams: openStreams,
    },
    kv: {
      pages: kv.pages,
      free_pages: kv.freePages,
      cached_pages: kv.cachedPages ?? null,
      page_tokens: kv.pageTokens,
      bytes: kv.bytes,
    },
    memory: memoryOf(reached),
    adapters: {
      bytes: adapters.bytes,
      limit_bytes: adapters.limitBytes,
      host_bytes: adapters.hostBytes ?? null,
      resident: adapters.resident.map((each) => ({ ...each, ...named(each.digest) })),
      host: (adapters.host ?? []).map(named),
      waiting: (adapters.waiting ?? []).map((each) => ({ ...each, ...named(each.digest) })),
      moves: (adapters.moves ?? []).map((each) => ({ ...each, ...named(each.digest) })).toReversed(),
      load_seconds: {
        host: pace?.loadSeconds.host ?? null,
        storage: pace?.loadSeconds.storage ?? null,
      },
    },
    batch: {
      max_sequences: batch?.maxSequences ?? null,
      max_step_tokens: batch?.maxStepTokens ?? null,
      rows_per_step: batch?.rows ?? null,
    },
  };
}

function memoryOf(status: EngineStatus | undefined): EngineResource['memory'] {
  if (!status?.memory) return null;
  const { weightBytes, kvBytes, adapterBytes, scratchBytes } = status.memory;
  return {
    weight_bytes: weightBytes,
    kv_bytes: kvBytes,
    adapter_bytes: adapterBytes,
    scratch_bytes: scratchBytes,
  };
}

function baseModel(status: EngineStatus | undefined): EngineResource['base_model'] {
  if (!status?.base) return null;
  const { name, digest, architecture, quantization, maxContext } = status.base;
  return { name, digest, architecture, quantization, max_context: maxContext };
}
