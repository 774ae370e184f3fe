import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { EngineStatus, GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import type { Registry } from 'prom-client';
import { AdapterManifests } from './adapter-manifests.js';
import { type AdapterLease, AdapterResidency } from './adapter-residency.js';
import { checkRequest, completionLimit } from './admission.js';
import { ChatTemplates } from './chat-template.js';
import { EngineLoop } from './engine-loop.js';
import { EventStream } from './event-stream.js';
import { PAGE_TOKENS } from './kv-budget.js';
import { KvPages } from './kv-pages.js';
import type { OpenedModel, ServingSettings } from './model-opening.js';
import { PlanWriter } from './plan-writer.js';
import { PrefixCache } from './prefix-cache.js';
import { PromptReader } from './prompt-reader.js';
import { Sequence } from './sequence.js';
import { ServingMetrics } from './serving-metrics.js';
import { StepOutputs } from './step-outputs.js';
import { StopRule } from './stop-rule.js';
import type { EncodedText } from './tokenizer.js';
import { VerifiedWeights } from './verified-weights.js';

export interface InferenceEngineOptions {
  readonly model: OpenedModel;
  readonly settings: Pick<
    ServingSettings,
    'adapterCacheBytes' | 'maxSequences' | 'maxStepTokens' | 'maxQueuedRequests'
  >;
  readonly blobs: BlobStore;
  readonly registry: Registry;
  readonly logger: Logger;
}

/** Tokens that may lie unread before a request pauses, and how long it may stay so. */
const UNREAD_TOKENS = 512;
const STALL_MS = 60_000;

/** The engine's brain: takes requests, answers with their events. */
export class InferenceEngine {
  readonly #pages: KvPages;
  readonly #prefixes: PrefixCache;
  readonly #residency: AdapterResidency;
  readonly #manifests: AdapterManifests;
  readonly #templates: ChatTemplates;
  readonly #prompts: PromptReader;
  readonly #outputs: StepOutputs;
  readonly #loop: EngineLoop;
  /** From arrival to end: also those that are being tokenized or wait for their adapter. */
  #requests = 0;
  #nextId = 0;
  #draining = false;
  #idle: (() => void) | undefined;

  constructor(private readonly options: InferenceEngineOptions) {
    const { model, settings, blobs } = options;
    const { native, base, tokenizer } = model;
    const metrics = new ServingMetrics(options.registry, () => this.#gauges());
    const sequences = Math.min(settings.maxSequences, settings.maxStepTokens);
    this.#pages = new KvPages(native.description.kvPages, PAGE_TOKENS);
    this.#prefixes = new PrefixCache(this.#pages, () => metrics.prefixEvictions.inc());
    this.#manifests = new AdapterManifests(blobs, base.digest);
    const weights = new VerifiedWeights(blobs);
    this.#residency = new AdapterResidency({
      device: native,
      limitBytes: settings.adapterCacheBytes,
      weightsPath: (manifest) => weights.path(manifest),
      onLoad: (outcome, took_ms) => {
        metrics.adapterLoads.inc({ outcome });
        metrics.adapterLoadSeconds.observe(took_ms / 1000);
      },
      onEvict: () => metrics.adapterEvictions.inc(),
      onDropped: (digest) => this.#prefixes.forget(digest),
    });
    this.#templates = new ChatTemplates(model.templates, tokenizer.specialTokens, blobs);
    this.#prompts = new PromptReader(tokenizer, this.#templates, base.maxContext * tokenizer.longestToken);
    this.#outputs = new StepOutputs(tokenizer, metrics);
    this.#loop = new EngineLoop({
      native,
      pages: this.#pages,
      prefixes: this.#prefixes,
      writer: new PlanWriter(PAGE_TOKENS, { rows: settings.maxStepTokens, sequences }),
      outputs: this.#outputs,
      limits: { stepTokens: settings.maxStepTokens, sequences, pageTokens: PAGE_TOKENS },
      metrics,
      logger: options.logger,
    });
    this.#loop.start();
  }

  /**
   * Resolves once the request is admitted: tokenized, found good, its adapter resident. What is wrong before is thrown
   * as AppError. Aborting `signal`, or leaving the iteration, ends the request within one step.
   */
  async generate(request: GenerateRequest, signal: AbortSignal): Promise<AsyncIterable<GenerateEvent>> {
    const arrival_ms = performance.now();
    const { base } = this.options.model;
    if (this.#draining) throw new AppError('engine_unavailable', { message: 'The engine is shutting down.' });
    const { maxSequences, maxQueuedRequests } = this.options.settings;
    if (this.#requests >= maxSequences + maxQueuedRequests) throw new AppError('overloaded');
    checkRequest(request, base);
    const id = this.#nextId++;
    this.#requests++;
    let lease: AdapterLease | undefined;
    try {
      const manifest = request.adapter === undefined ? undefined : await this.#manifests.get(request.adapter);
      const prompt = await this.#prompts.read(request.input, manifest);
      const maxTokens = completionLimit(prompt.ids.length, request.maxTokens, base);
      signal.throwIfAborted();
      lease = await this.#lease(request.adapter, manifest, signal);
      // Shutdown may have begun meanwhile; the loop takes nothing any more.
      if (this.#draining)
        throw new AppError('engine_unavailable', { message: 'The engine is shutting down.' });
      return this.#begin({ id, request, prompt, maxTokens, lease, arrival_ms }, signal);
    } catch (error) {
      lease?.release();
      this.#ended();
      throw error;
    }
  }

  /** Loads an adapter before a request asks for it. */
  async loadAdapter(digest: string, signal: AbortSignal): Promise<void> {
    const manifest = await this.#manifests.get(digest);
    (await this.#residency.acquire(digest, manifest, signal)).release();
  }

  /** Frees an adapter and its prefixes once its last request ends. One that is not resident is no fault. */
  dropAdapter(digest: string): void {
    this.#prefixes.forget(digest);
    this.#residency.drop(digest);
  }

  status(): Pick<EngineStatus, 'device' | 'base' | 'load' | 'kv' | 'adapters'> {
    const { native, base } = this.options.model;
    const { device, kvPages, kvBytesPerPage } = native.description;
    const running = this.#loop.runningRequests;
    return {
      device,
      base,
      load: {
        runningRequests: running,
        waitingRequests: this.#requests - running,
        queuedTokens: this.#loop.queuedTokens,
      },
      kv: {
        pages: kvPages,
        freePages: this.#pages.freePages,
        cachedPages: this.#prefixes.cachedPages,
        pageTokens: PAGE_TOKENS,
        bytes: kvPages * kvBytesPerPage,
      },
      adapters: {
        bytes: this.#residency.bytes,
        limitBytes: this.#residency.limitBytes,
        resident: this.#residency.resident(),
      },
    };
  }

  /** Takes no new requests, lets the present ones run for `drain_ms`, fails the rest, and closes the model. */
  async close(drain_ms: number): Promise<void> {
    this.#draining = true;
    if (this.#requests > 0) await this.#idleOrAfter(drain_ms);
    await this.#loop.close(new AppError('engine_unavailable', { message: 'The engine is shutting down.' }));
    await this.#templates.close();
    await this.options.model.native.close();
  }

  async #lease(
    digest: string | undefined,
    manifest: AdapterManifest | undefined,
    signal: AbortSignal,
  ): Promise<AdapterLease | undefined> {
    if (digest === undefined || manifest === undefined) return undefined;
    return this.#residency.acquire(digest, manifest, signal);
  }

  #begin(admitted: Admitted, signal: AbortSignal): AsyncIterable<GenerateEvent> {
    const { request, prompt, lease } = admitted;
    const { tokenizer, eosTokenIds } = this.options.model;
    const events = new EventStream(UNREAD_TOKENS, {
      full: () => this.#pause(sequence),
      drained: () => this.#resume(sequence),
      abandoned: () => this.#loop.cancel(sequence),
    });
    const cancel = (): void => this.#loop.cancel(sequence);
    const sequence: Sequence = new Sequence({
      ...admitted,
      prompt: prompt.ids,
      kvPages: this.#pages,
      addedTokens: prompt.added,
      stopRule: new StopRule(tokenizer, { ...request, maxTokens: admitted.maxTokens, eosTokenIds }),
      events,
      onEnd: () => {
        signal.removeEventListener('abort', cancel);
        lease?.release();
        this.#ended();
      },
    });
    events.push({
      type: 'start',
      promptTokens: sequence.promptTokens,
      ...(request.returnPromptTokens ? { promptTokenIds: [...prompt.ids] } : {}),
    });
    this.#submit(sequence);
    signal.addEventListener('abort', cancel, { once: true });
    return events;
  }

  /** Nothing to compute when no token is wanted and no score, or the prompt is one token, which has none. */
  #submit(sequence: Sequence): void {
    const scoresAny = sequence.promptLogprobs !== undefined;
    if (scoresAny && sequence.promptTokens === 1) this.#outputs.emitPrompt(sequence);
    if (sequence.maxTokens > 0 || (scoresAny && sequence.promptTokens > 1)) this.#loop.submit(sequence);
    else this.#loop.endWithoutStep(sequence);
  }

  #pause(sequence: Sequence): void {
    this.#loop.pause(sequence);
    sequence.stallTimer = setTimeout(() => {
      this.#loop.fail(
        sequence,
        new AppError('client_closed_request', { message: 'The reader is too slow.' }),
      );
    }, STALL_MS);
  }

  #resume(sequence: Sequence): void {
    clearTimeout(sequence.stallTimer);
    this.#loop.resume(sequence);
  }

  #ended(): void {
    this.#requests--;
    if (this.#requests === 0) this.#idle?.();
  }

  async #idleOrAfter(limit_ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limit_ms);
      this.#idle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #gauges() {
    const status = this.status();
    return {
      runningRequests: status.load.runningRequests,
      waitingRequests: status.load.waitingRequests,
      kvPagesUsed: status.kv.pages - status.kv.freePages,
      kvPages: status.kv.pages,
      cachedPages: this.#prefixes.cachedPages,
      adapters: status.adapters.resident.length,
      adapterBytes: status.adapters.bytes,
    };
  }
}

interface Admitted {
  readonly id: number;
  readonly request: GenerateRequest;
  readonly prompt: EncodedText;
  readonly maxTokens: number;
  readonly lease: AdapterLease | undefined;
  readonly arrival_ms: number;
}
