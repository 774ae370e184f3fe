import type {
  Detokenized,
  DetokenizeRequest,
  GenerateEvent,
  GenerateRequest,
  Tokenized,
  TokenizeRequest,
} from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import type { Registry } from 'prom-client';
import { AdapterTiers } from '../residency/adapter-tiers.js';
import { checkTokens } from './admission.js';
import { ChatTemplates } from '../text/chat-template.js';
import { AnswerStarter, type Begun } from './answer-starter.js';
import { EngineLoop } from './engine-loop.js';
import { KvPages } from '../kv/kv-pages.js';
import type { OpenedModel, ServingSettings } from '../model-opening.js';
import { PlanWriter } from './plan-writer.js';
import { PrefixCache } from '../kv/prefix-cache.js';
import { MARK_TOKENS } from '../text/chat-formats.js';
import { AdapterTokenizers } from '../text/adapter-tokenizers.js';
import { PromptReader } from '../text/prompt-reader.js';
import { AnswerStructures } from '../structure/answer-structures.js';
import { modelVocabulary } from '../structure/model-vocabulary.js';
import { RequestReader } from './request-reader.js';
import { type ServingStatus, servingGauges, servingStatus } from './engine-status.js';
import { RequestMetrics } from './request-metrics.js';
import { ServingMetrics } from './serving-metrics.js';
import { DraftPolicy, type WhenToDraft } from '../speculation/draft-policy.js';
import { makeDrafter } from '../speculation/make-drafter.js';
import { StepDrafts } from '../speculation/step-drafts.js';
import { TextDrafts } from '../speculation/text-drafts.js';
import { StepOutputs } from './step-outputs.js';

export interface InferenceEngineOptions {
  readonly model: OpenedModel;
  readonly settings: Pick<
    ServingSettings,
    | 'adapterCacheBytes'
    | 'hostAdapterCacheBytes'
    | 'speculation'
    | 'goodputTtft_ms'
    | 'goodputTpot_ms'
    | 'maxSequences'
    | 'maxStepTokens'
    | 'maxQueuedRequests'
    | 'chatControlTokens'
    | 'structureTimeout_ms'
    | 'toolParser'
    | 'reasoningParser'
  >;
  readonly blobs: BlobStore;
  readonly registry: Registry;
  readonly logger: Logger;
  /** When the draft model guesses; absent: where it is measured to pay. */
  readonly draftPolicy?: WhenToDraft;
  /** When guesses from text are checked; absent: where it is measured to pay. */
  readonly textPolicy?: WhenToDraft;
  /** The device is gone until the process has ended; left out: nobody can do anything about it. */
  readonly onDeviceLost?: (error: unknown) => void;
}

/** Places for masks that are given back a moment after their answers. */
const SPARE_ANSWERS = 64;
/** Times that others may enter before a request whose adapter finds no room. */
const MOST_PASSES = 32;

/** The engine's brain: takes requests, answers with their events. */
export class InferenceEngine {
  readonly #requestMetrics: RequestMetrics;
  readonly #pages: KvPages;
  readonly #prefixes: PrefixCache;
  readonly #adapters: AdapterTiers;
  readonly #templates: ChatTemplates;
  readonly #tokenizers: AdapterTokenizers;
  readonly #prompts: PromptReader;
  readonly #outputs: StepOutputs;
  readonly #structures: AnswerStructures;
  readonly #drafts: StepDrafts;
  readonly #loop: EngineLoop;
  readonly #reader: RequestReader;
  readonly #starter: AnswerStarter;
  /** From arrival to end: also those that are being tokenized or wait for their adapter. */
  #requests = 0;
  #nextId = 0;
  #draining = false;
  #deviceLost = false;
  #closed = false;
  #idle: (() => void) | undefined;

  constructor(private readonly options: InferenceEngineOptions) {
    const { model, settings, blobs } = options;
    const { native, base, tokenizer } = model;
    const metrics = new ServingMetrics(options.registry, () =>
      servingGauges(this.status(), this.#adapters, this.#prefixes),
    );
    this.#requestMetrics = new RequestMetrics(options.registry, {
      ttft_ms: settings.goodputTtft_ms,
      tpot_ms: settings.goodputTpot_ms,
    });
    const sequences = Math.min(settings.maxSequences, settings.maxStepTokens);
    const { kvPages, kvPageTokens: pageTokens } = native.description;
    this.#pages = new KvPages(kvPages, pageTokens);
    this.#prefixes = new PrefixCache(this.#pages, () => metrics.prefixEvictions.inc());
    this.#adapters = new AdapterTiers({
      blobs,
      baseDigest: base.digest,
      device: native,
      deviceBytes: settings.adapterCacheBytes,
      hostBytes: settings.hostAdapterCacheBytes,
      metrics,
      onForget: (digest) => {
        this.#prefixes.forget(digest);
        this.#requestMetrics.forget(digest);
      },
      onDeviceLost: (error) => this.#loseDevice(error),
    });
    this.#templates = new ChatTemplates({
      templates: model.templates,
      specialTokens: tokenizer.specialTokens,
      blobs,
      render: tokenizer.renderData,
      trustMessages: settings.chatControlTokens === 'trust',
    });
    this.#tokenizers = new AdapterTokenizers(tokenizer);
    this.#prompts = new PromptReader({
      tokenizers: this.#tokenizers,
      templates: this.#templates,
      maxContext: base.maxContext,
    });
    this.#outputs = new StepOutputs(metrics);
    this.#structures = this.#makeStructures(metrics);
    this.#drafts = this.#makeDrafts(sequences);
    this.#loop = this.#makeLoop(sequences, metrics);
    this.#reader = this.#makeReader();
    this.#starter = this.#makeStarter();
    this.#loop.start();
  }

  /**
   * Resolves once the request is admitted: tokenized, found good, its adapter resident. What is wrong before is thrown
   * as AppError. Aborting `signal`, or leaving the iteration, ends the request within one step. `chunkTokens` bounds what
   * one step computes of it.
   */
  async generate(
    asked: GenerateRequest,
    signal: AbortSignal,
    chunkTokens?: number,
  ): Promise<AsyncIterable<GenerateEvent>> {
    const arrival_ms = performance.now();
    if (this.#draining) throw shuttingDown();
    if (this.#deviceLost) throw withoutDevice();
    const { maxSequences, maxQueuedRequests } = this.options.settings;
    const choices = asked.n ?? 1;
    if (this.#requests + choices > maxSequences + maxQueuedRequests) throw new AppError('overloaded');
    this.#reader.check(asked);
    const id = this.#nextId;
    this.#nextId += choices;
    this.#requests++;
    let begun: Begun;
    try {
      const read = await this.#reader.read(asked);
      signal.throwIfAborted();
      // Shutdown may have begun meanwhile; the loop takes nothing any more.
      if (this.#draining) throw shuttingDown();
      begun = this.#starter.start({ ...read, id, choice: 0, arrival_ms, chunkTokens }, signal);
    } catch (error) {
      this.#ended();
      throw error;
    }
    await begun.ready;
    return begun.events;
  }

  /** The tokens of an input, as a request with it would compute them. */
  async tokenize({ adapter, returnNames, ...asked }: TokenizeRequest): Promise<Tokenized> {
    const version = await this.#adapters.version({ adapter });
    const tokenizer = await this.#tokenizers.of(version?.manifest, asked.fairnessKey);
    if (asked.input.kind === 'tokens')
      checkTokens(asked.input.tokens, 'prompt', this.#reader.limits({}, version));
    const { ids } = await this.#prompts.tokenize(asked, version?.manifest);
    const tokens = [...ids];
    return { tokens, ...(returnNames ? { names: tokens.map((id) => tokenizer.nameOf(id)) } : {}) };
  }

  async detokenize({ tokens }: DetokenizeRequest): Promise<Detokenized> {
    checkTokens(tokens, 'tokens', this.options.model.base);
    return { text: await this.options.model.tokenizer.decode(tokens) };
  }

  /** Loads an adapter before a request asks for it. */
  async loadAdapter(digest: string, signal: AbortSignal): Promise<void> {
    await this.#adapters.warm(digest, signal);
  }

  isResident(digest: string): boolean {
    return this.#adapters.residency.isResident(digest);
  }

  /** Frees an adapter and its prefixes once its last request ends. One that is not resident is no fault. */
  dropAdapter(digest: string): void {
    this.#adapters.drop(digest);
  }

  status(): ServingStatus {
    const { model, settings } = this.options;
    const { drafter } = this.#drafts;
    return servingStatus({
      model,
      settings,
      drafter,
      pages: this.#pages,
      prefixes: this.#prefixes,
      adapters: this.#adapters,
      loop: this.#loop,
      requests: this.#requests,
      isClosed: this.#closed,
    });
  }

  /** Takes no new requests; resolves when the present ones have ended, or after the limit. */
  async drain(limit_ms: number): Promise<void> {
    this.#draining = true;
    if (this.#requests > 0) await this.#idleOrAfter(limit_ms);
  }

  /** Takes no new requests, lets the present ones run for `drain_ms`, fails the rest, and closes the model. */
  async close(drain_ms: number): Promise<void> {
    await this.drain(drain_ms);
    await this.#loop.close(shuttingDown());
    await Promise.all([this.#templates.close(), this.#structures.close(), this.#tokenizers.close()]);
    this.#closed = true;
    await Promise.all([this.options.model.native.close(), this.options.model.draft?.native.close()]);
  }

  #makeStructures(metrics: ServingMetrics): AnswerStructures {
    const { model, settings } = this.options;
    const { tokenizer, base, eosTokenIds } = model;
    // Adapters' own tokens are no text of a grammar; those that end an answer are added to it.
    const vocabSize = base.vocabSize + (base.extraTokens ?? 0);
    const markTokens = tokenizer.idsOf(MARK_TOKENS);
    return new AnswerStructures({
      vocabSize,
      vocabulary: () => modelVocabulary({ tokenizer, vocabSize, eosTokenIds, markTokens }),
      answers: settings.maxSequences + settings.maxQueuedRequests + SPARE_ANSWERS,
      compileTimeout_ms: settings.structureTimeout_ms,
      eosTokenIds,
      metrics,
    });
  }

  /** Said once: whatever computes from now on finds it lost again. */
  #loseDevice(error: unknown): void {
    if (this.#deviceLost) return;
    this.#deviceLost = true;
    this.options.onDeviceLost?.(error);
  }

  #makeLoop(sequences: number, metrics: ServingMetrics): EngineLoop {
    const { model, settings, logger } = this.options;
    const { maxStepTokens: stepTokens } = settings;
    const { kvPageTokens: pageTokens } = model.native.description;
    const capacity = { rows: stepTokens, sequences, hiddenSize: model.base.hiddenSize };
    return new EngineLoop({
      native: model.native,
      pages: this.#pages,
      prefixes: this.#prefixes,
      residency: this.#adapters.residency,
      writer: new PlanWriter(pageTokens, capacity, () => this.#structures.memory),
      outputs: this.#outputs,
      drafts: this.#drafts,
      limits: { stepTokens, sequences, pageTokens, passes: MOST_PASSES },
      metrics,
      requestMetrics: this.#requestMetrics,
      logger,
      onDeviceLost: (error) => this.#loseDevice(error),
    });
  }

  #makeReader(): RequestReader {
    const { model, settings } = this.options;
    return new RequestReader({
      model,
      settings,
      adapters: this.#adapters,
      tokenizers: this.#tokenizers,
      prompts: this.#prompts,
      structures: this.#structures,
    });
  }

  #makeStarter(): AnswerStarter {
    const { model, settings, logger } = this.options;
    const hasModel = this.#drafts.drafter !== undefined;
    return new AnswerStarter({
      model,
      logger,
      loop: this.#loop,
      pages: this.#pages,
      structures: this.#structures,
      outputs: this.#outputs,
      speculation: { setting: settings.speculation, hasModel },
      onBegun: () => {
        this.#requests++;
      },
      onEnded: () => this.#ended(),
    });
  }

  #makeDrafts(sequences: number): StepDrafts {
    const { model, settings, logger, draftPolicy, textPolicy } = this.options;
    const { maxStepTokens: stepTokens } = settings;
    const limits = { stepTokens, sequences, pageTokens: model.native.description.kvPageTokens };
    const drafter =
      model.draft &&
      makeDrafter({
        model,
        draft: model.draft,
        limits,
        logger,
        policy: draftPolicy,
        maskMemory: () => this.#structures.memory,
      });
    // What is found in text takes no time to guess.
    const text = new TextDrafts(textPolicy ?? new DraftPolicy(0));
    return new StepDrafts({ pages: this.#pages, stepTokens, drafter, text });
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
}

function withoutDevice(): AppError {
  return new AppError('engine_unavailable', { message: 'The engine lost its device and starts again.' });
}

function shuttingDown(): AppError {
  return new AppError('engine_unavailable', { message: 'The engine is shutting down.' });
}
