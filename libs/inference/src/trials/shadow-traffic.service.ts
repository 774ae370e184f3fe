import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { AliasShadows, type ShadowOutcome } from '#adapters/aliases/alias-shadows.service.js';
import type { ResolvedVersion, ServedShadow } from '#adapters/registry/served-target.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { faultOfEvent } from '#fleet/shared-fault.js';
import { AppError } from '#runtime/app-error.js';
import { bySequence, engineCalls } from '../plan/engine-calls.js';
import { formatsFor, type Sequence } from '../plan/generation-plan.js';
import { mergeStreams } from '#runtime/merge-streams.js';
import { RequestMeter } from '../meter/request-meter.js';
import { compareAnswers } from './shadow-comparison.js';
import { isVersionsFault } from './version-fault.js';

/** What the engine is told of the tenant that asks. */
export type EngineScope = Pick<GenerateRequest, 'cacheSalt' | 'maxContext'>;

/** A request that was answered, to be asked of a candidate as well. */
export interface ShadowCopy {
  readonly version: ResolvedVersion;
  readonly shadow: ServedShadow;
  readonly sequences: readonly Sequence[];
  /** The caller's. */
  readonly scope: EngineScope;
  /** The tokens of each answer, and their times. */
  readonly served: readonly (readonly number[])[];
  readonly servedTimes: Pick<RequestMeter, 'ttft_ms' | 'tpot'>;
}

interface Waiting {
  readonly copy: ShadowCopy;
  readonly since_ms: number;
}

const MAX_RUNNING = 2;
const MAX_WAITING = 32;
const MAX_WAIT_MS = 5_000;
const LOOK_EVERY_MS = 100;
/** Requests that may wait in the engines, beside our own copies, before copies give way. */
const SPARE_WAITING = 2;
/** All copies of all tenants share one turn, and next to nothing of it. */
const FAIRNESS = { fairnessKey: 'shadow', fairnessWeight: 0.001 };

/**
 * Asks candidates what others have answered already. A copy is sent only after its request has been answered, a few
 * at a time and while no engine keeps requests waiting; under load copies are the first to go.
 */
@Injectable()
export class ShadowTraffic implements OnModuleInit, OnModuleDestroy {
  #waiting: Waiting[] = [];
  readonly #running = new Map<AbortController, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly fleet: EngineFleet,
    private readonly shadows: AliasShadows,
  ) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    this.#waiting = [];
    for (const controller of this.#running.keys()) controller.abort(gaveWay());
    await Promise.all(this.#running.values());
  }

  /** Never throws and never waits. */
  offer(copy: ShadowCopy): void {
    if (this.#waiting.length >= MAX_WAITING || this.#isBusy()) {
      this.#note(copy, { fate: 'dropped' });
      return;
    }
    this.#waiting.push({ copy, since_ms: performance.now() });
    this.#start();
  }

  #look(): void {
    if (this.#waiting.length === 0 && this.#running.size === 0) return;
    const tooOld_ms = performance.now() - MAX_WAIT_MS;
    const [old, young] = partition(this.#waiting, ({ since_ms }) => since_ms < tooOld_ms);
    for (const { copy } of old) this.#note(copy, { fate: 'dropped' });
    this.#waiting = young;
    if (this.#isBusy()) for (const controller of this.#running.keys()) controller.abort(gaveWay());
    else this.#start();
  }

  #start(): void {
    while (this.#running.size < MAX_RUNNING && !this.#isBusy()) {
      const next = this.#waiting.shift();
      if (!next) return;
      const controller = new AbortController();
      const run = this.#run(next.copy, controller).finally(() => this.#running.delete(controller));
      this.#running.set(controller, run);
    }
  }

  #isBusy(): boolean {
    const waiting = this.fleet
      .statuses()
      .reduce((sum, { status }) => sum + (status?.load.waitingRequests ?? 0), 0);
    return waiting > this.#running.size + SPARE_WAITING;
  }

  async #run(copy: ShadowCopy, controller: AbortController): Promise<void> {
    try {
      this.#note(copy, await this.#ask(copy, controller.signal));
    } catch (error) {
      const fault = error instanceof AppError ? error : new AppError('internal_error', { cause: error });
      const failed = !controller.signal.aborted && isVersionsFault(fault);
      this.#note(copy, failed ? { fate: 'failed', error: fault.code } : { fate: 'dropped' });
    } finally {
      controller.abort(gaveWay()); // the other sequences of a copy that failed
    }
  }

  async #ask(copy: ShadowCopy, signal: AbortSignal): Promise<ShadowOutcome> {
    const { sequences, scope, shadow, served, servedTimes } = copy;
    const meter = new RequestMeter(sequences);
    const id = randomUUID().replaceAll('-', '');
    const adapter = shadow.version.digest;
    const calls = engineCalls(sequences);
    const streams = await Promise.all(
      calls.map(({ request, n }, index) => {
        const requestId = `shadow-${id}-${index}`;
        const formats = formatsFor(request, shadow.version.formats);
        return this.fleet.generate(
          { ...request, ...formats, ...scope, ...FAIRNESS, requestId, adapter, n },
          signal,
        );
      }),
    );
    const candidate: number[][] = sequences.map(() => []);
    const merged = mergeStreams(streams.map(({ events }) => events));
    for await (const { source, value } of bySequence(merged, calls)) {
      meter.note(source, value);
      if (value.type === 'error') throw faultOfEvent(value);
      if (value.type === 'tokens') candidate[source]?.push(...value.ids);
    }
    const pairs = served.map((tokens, index) => ({ served: tokens, candidate: candidate[index] ?? [] }));
    return { fate: 'compared', figures: compareAnswers(pairs, servedTimes, meter) };
  }

  #note({ version }: ShadowCopy, outcome: ShadowOutcome): void {
    this.shadows.note(version, outcome);
  }
}

function gaveWay(): AppError {
  return new AppError('overloaded', { message: 'The engines have other work.' });
}

function partition<T>(items: readonly T[], holds: (item: T) => boolean): [T[], T[]] {
  return [items.filter(holds), items.filter((item) => !holds(item))];
}
