import { randomUUID } from 'node:crypto';
import type { Parity, ParityRequest } from '#contracts/parity.js';
import { nativeErrorKind } from '#native-engine/native-error.js';
import type { NativeModel, OpenOptions } from '#native-engine/native.js';
import { AppError } from '#runtime/app-error.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { Counter, Histogram, type Registry } from 'prom-client';
import type { InferenceEngine } from '../loop/inference-engine.js';
import { adapterDtype, kvDtype, type OpenedModel, type ServingSettings } from '../model-opening.js';
import { compareScores } from './parity-comparison.js';
import { scoreMerged } from './parity-merged.js';
import { parityPrompts } from './parity-prompts.js';
import { type ServedRuns, scoreServed } from './parity-served.js';
import { parityTolerance } from './parity-tolerance.js';

export interface ParityCheckOptions {
  readonly engine: InferenceEngine;
  readonly model: OpenedModel;
  readonly settings: Pick<ServingSettings, 'modelPath' | 'quantization' | 'kvCacheDtype' | 'adapterDtype'>;
  readonly openNative: (options: OpenOptions) => Promise<NativeModel>;
  readonly blobs: Pick<BlobStore, 'stat' | 'localPath'>;
  readonly registry: Registry;
}

/** A check that takes longer is taken up again later; on a busy machine the background thread gets little. */
const TIME_LIMIT_MS = 10 * 60_000;
/** What keeps an answer from coming, but says nothing about the adapter. */
const PASSING = new Set(['engine_unavailable', 'overloaded', 'client_closed_request', 'model_not_found']);

/**
 * Compares an adapter as it is served with the same adapter merged densely into the base by other code (ADR 11). One check
 * at a time; the requests of tenants go on beside it.
 */
export class ParityCheck {
  readonly #checks: Counter<'outcome'>;
  readonly #seconds: Histogram;
  #last: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: ParityCheckOptions) {
    const registers = [options.registry];
    this.#checks = new Counter({
      name: 'lorikeet_parity_checks_total',
      help: 'Parity checks of uploaded adapters by outcome: passed, failed, or given up (they come again)',
      labelNames: ['outcome'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'lorikeet_parity_check_seconds',
      help: 'Time of a parity check without its wait for the one before',
      buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600],
      registers,
    });
  }

  /** Rejects with AppError engine_unavailable when it could not be done now. */
  async run(request: ParityRequest, signal: AbortSignal): Promise<Parity> {
    const turn = this.#last.then(() => this.#run(request, signal));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #run(request: ParityRequest, signal: AbortSignal): Promise<Parity> {
    signal.throwIfAborted();
    const stopTimer = this.#seconds.startTimer();
    try {
      const parity = await this.#compare(
        request,
        AbortSignal.any([signal, AbortSignal.timeout(TIME_LIMIT_MS)]),
      );
      this.#checks.inc({ outcome: parity.passed ? 'passed' : 'failed' });
      stopTimer();
      return parity;
    } catch (error) {
      this.#checks.inc({ outcome: 'given_up' });
      const busy = error instanceof AppError && error.code === 'overloaded';
      if (busy) throw new AppError('engine_unavailable', { message: error.message });
      if (signal.aborted || error instanceof AppError) throw error;
      throw passingFault(error) ?? error;
    }
  }

  async #compare(
    { adapter, weights, changes, tokens = [], invocation, vocabSize }: ParityRequest,
    signal: AbortSignal,
  ): Promise<Parity> {
    const { engine, model, settings, openNative } = this.options;
    const weightsPath = await this.#weightsPath(weights);
    const prompts = await parityPrompts({
      tokenizer: model.tokenizer,
      vocabSize: vocabSize ?? model.base.vocabSize,
      maxContext: model.base.maxContext,
      invocation,
      ownTokens: [
        ...new Set([
          ...addedTokens(model.base.vocabSize, vocabSize),
          ...tokens,
          ...changes.flatMap(({ rows }) => rows?.indices ?? []),
        ]),
      ],
    });
    const tolerance = parityTolerance(settings);
    const path = `${model.native.description.device} against weights merged in float32`;
    const wasResident = engine.isResident(adapter);
    let runs: ServedRuns;
    try {
      const check = `parity:${randomUUID()}`;
      const baseVocabulary = model.base.vocabSize;
      runs = await scoreServed({ ...prompts, engine, adapter, check, baseVocabulary }, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof AppError) || PASSING.has(error.code)) throw error;
      return {
        ...compareScores({ served: [], merged: [], base: [] }, tolerance),
        failure: error.message,
        path,
      };
    } finally {
      // Until it is ready nobody asks for it, so it must not keep others' place.
      if (!wasResident) engine.dropAdapter(adapter);
    }
    const merged = await scoreMerged(
      {
        openNative,
        modelPath: settings.modelPath,
        quantization: settings.quantization,
        adapterDtype: adapterDtype(settings),
        kv: {
          dtype: kvDtype(settings),
          pageBytes: model.native.description.kvBytesPerPage,
          pageTokens: model.native.description.kvPageTokens,
        },
        merge: { weightsPath, changes, vocabSize },
        extraTokens: model.base.extraTokens,
        texts: runs.served.map(({ tokens }) => tokens),
      },
      signal,
    );
    return { ...compareScores({ ...runs, merged }, tolerance), failure: null, path };
  }

  async #weightsPath(sha256: string): Promise<string> {
    const { blobs } = this.options;
    if ((await blobs.stat(sha256)) !== undefined) return blobs.localPath(sha256);
    throw new AppError('model_not_found', { message: 'The weights are not in the blob store.' });
  }
}

/** Some of those that the base does not have, from both ends. */
function addedTokens(base: number, own = base): number[] {
  const added = Array.from({ length: Math.max(0, own - base) }, (_, i) => base + i);
  return [...added.slice(0, 4), ...added.slice(4).slice(-4)];
}

/** What is over in a while: the check comes again. Undefined: what another try may meet again. */
function passingFault(cause: unknown): AppError | undefined {
  const kind = nativeErrorKind(cause);
  if (kind !== undefined && kind !== 'invalid') {
    const message = 'The engine could not hold a second model to compare with.';
    return new AppError('engine_unavailable', { message, cause });
  }
  if (!(cause instanceof DOMException) || cause.name !== 'TimeoutError') return undefined;
  return new AppError('engine_unavailable', { message: 'The parity check took too long.', cause });
}
