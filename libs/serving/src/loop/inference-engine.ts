import { setMaxListeners } from 'node:events';
import type {
  Detokenized,
  DetokenizeRequest,
  EngineStatus,
  GenerateEvent,
  GenerateRequest,
  Tokenized,
  TokenizeRequest,
} from '#contracts/engine-protocol.js';
import type { AnswerFormats } from '#contracts/chat-formats.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import type { Registry } from 'prom-client';
import { type Activation, activationOf } from '../residency/invocation.js';
import { AdapterTiers } from '../residency/adapter-tiers.js';
import { type AskNext, beamOptions, runBeams } from './beam-run.js';
import { candidatesOf } from './beam-search.js';
import { checkRequest, checkTokens, completionLimit, limitsFor } from './admission.js';
import { joinChoices } from './choices.js';
import { checkScale } from '../residency/scaled-delta.js';
import { ChatTemplates } from '../text/chat-template.js';
import { drawingOf } from './drawing.js';
import { EngineLoop } from './engine-loop.js';
import { EventStream } from './event-stream.js';
import { withGenerationDefaults } from './generation-defaults.js';
import { KvPages } from '../kv/kv-pages.js';
import type { OpenedModel, ServingSettings } from '../model-opening.js';
import { PlanWriter } from './plan-writer.js';
import { PooledState } from './pooled-state.js';
import { PrefixCache } from '../kv/prefix-cache.js';
import { formatsOf, MARK_TOKENS, type ResolvedFormats } from '../text/chat-formats.js';
import { PromptReader, type ReadPrompt } from '../text/prompt-reader.js';
import { AnswerStructures, type WishedStructure } from '../structure/answer-structures.js';
import { modelVocabulary } from '../structure/model-vocabulary.js';
import type { TokenMask } from '../structure/token-mask.js';
import { RequestMetrics } from './request-metrics.js';
import { Sequence } from './sequence.js';
import { ServingMetrics } from './serving-metrics.js';
import { DraftPolicy, type WhenToDraft } from '../speculation/draft-policy.js';
import { makeDrafter } from '../speculation/make-drafter.js';
import { StepDrafts } from '../speculation/step-drafts.js';
import { TextDrafts } from '../speculation/text-drafts.js';
import { type WantedDrafts, wantedDrafts } from '../speculation/wanted-drafts.js';
import { StepOutputs } from './step-outputs.js';
import { type StopOptions, StopRule } from './stop-rule.js';
import { badWordTokens, type TokenBans } from './token-bans.js';
import { withResolvers } from './with-resolvers.js';

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

/** Tokens that may lie unread before a request pauses, and how long it may stay so. */
const UNREAD_TOKENS = 512;
const STALL_MS = 60_000;
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
  readonly #prompts: PromptReader;
  readonly #outputs: StepOutputs;
  readonly #structures: AnswerStructures;
  readonly #drafts: StepDrafts;
  readonly #loop: EngineLoop;
  /** From arrival to end: also those that are being tokenized or wait for their adapter. */
  #requests = 0;
  /** Special tokens that answers may show. */
  readonly #markTokens: ReadonlySet<number>;
  #nextId = 0;
  #draining = false;
  #closed = false;
  #idle: (() => void) | undefined;

  constructor(private readonly options: InferenceEngineOptions) {
    const { model, settings, blobs } = options;
    const { native, base, tokenizer } = model;
    const metrics = new ServingMetrics(options.registry, () => this.#gauges());
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
    });
    this.#templates = new ChatTemplates({
      templates: model.templates,
      specialTokens: tokenizer.specialTokens,
      blobs,
      render: tokenizer.renderData,
      trustMessages: settings.chatControlTokens === 'trust',
    });
    this.#prompts = new PromptReader({
      tokenizer,
      templates: this.#templates,
      maxContext: base.maxContext,
    });
    this.#outputs = new StepOutputs(tokenizer, metrics);
    this.#markTokens = tokenizer.idsOf(MARK_TOKENS);
    this.#structures = this.#makeStructures(metrics);
    this.#drafts = this.#makeDrafts(sequences);
    this.#loop = new EngineLoop({
      native,
      pages: this.#pages,
      prefixes: this.#prefixes,
      residency: this.#adapters.residency,
      writer: new PlanWriter(
        pageTokens,
        { rows: settings.maxStepTokens, sequences, hiddenSize: base.hiddenSize },
        () => this.#structures.memory,
      ),
      outputs: this.#outputs,
      drafts: this.#drafts,
      limits: { stepTokens: settings.maxStepTokens, sequences, pageTokens, passes: MOST_PASSES },
      metrics,
      requestMetrics: this.#requestMetrics,
      logger: options.logger,
      onDeviceLost: (error) => options.onDeviceLost?.(error),
    });
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
    const { base } = this.options.model;
    if (this.#draining) throw shuttingDown();
    const { maxSequences, maxQueuedRequests } = this.options.settings;
    const choices = asked.n ?? 1;
    if (this.#requests + choices > maxSequences + maxQueuedRequests) throw new AppError('overloaded');
    checkRequest(asked, base);
    if (asked.embedding && this.options.model.pooling instanceof AppError) throw this.options.model.pooling;
    const id = this.#nextId;
    this.#nextId += choices;
    this.#requests++;
    let begun: Begun;
    try {
      const admitted = { ...(await this.#read(asked, signal)), id, choice: 0, arrival_ms, chunkTokens };
      if (asked.beam && admitted.stops.maxTokens > 0) begun = this.#beginBeams(admitted, signal);
      else begun = choices === 1 ? this.#begin(admitted, signal) : this.#beginAll(admitted, signal);
    } catch (error) {
      this.#ended();
      throw error;
    }
    await begun.ready;
    return begun.events;
  }

  /** All that has to be known of a request before it takes its place. */
  async #read(asked: GenerateRequest, signal: AbortSignal): Promise<ReadRequest> {
    const adapter = await this.#adapters.version(asked);
    checkScale(asked.adapterScale ?? 1, adapter?.manifest);
    const request = withGenerationDefaults(asked, adapter?.manifest);
    // From storage to the host while others compute; only then does it count as waiting for its turn.
    const [prompt, predicted, badWords] = await Promise.all([
      this.#prompts.read(request, adapter?.manifest),
      this.#prompts.readPrediction(request),
      badWordTokens(request.badWords ?? [], (text) => this.#prompts.encodePlain(text)),
      this.#adapters.fetch(adapter, {
        key: request.fairnessKey,
        weight: request.fairnessWeight ?? 1,
      }),
    ]);
    const limits = limitsFor(request, this.options.model.base);
    const maxTokens = completionLimit(prompt.ids.length, request.maxTokens, limits);
    const written = this.#formats(request, prompt);
    const { formats, tokens: shown } = written ?? {};
    const structure =
      maxTokens === 0 ? undefined : await this.#structures.wished(request, formats ?? {}, prompt.chat);
    signal.throwIfAborted();
    // Shutdown may have begun meanwhile; the loop takes nothing any more.
    if (this.#draining) throw shuttingDown();
    const drawn = { request, adapter, maxTokens, badWords, shown, structured: structure !== undefined };
    const drawing = drawingOf(drawn, this.options.model, this.#markTokens);
    return {
      request,
      prompt,
      predicted,
      formats,
      structure,
      ...activationOf(adapter, prompt.ids),
      ...drawing,
    };
  }

  /** The tokens of an input, as a request with it would compute them. */
  async tokenize({ adapter, returnNames, ...asked }: TokenizeRequest): Promise<Tokenized> {
    if (asked.input.kind === 'tokens') checkTokens(asked.input.tokens, 'prompt', this.options.model.base);
    const { tokenizer } = this.options.model;
    const version = await this.#adapters.version({ adapter });
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

  status(): Omit<EngineStatus, 'engine' | 'state' | 'startedAt'> {
    const { native, base, deviceReason } = this.options.model;
    const { drafter } = this.#drafts;
    const { device, kvPages, kvBytesPerPage, kvPageTokens } = native.description;
    const running = this.#loop.runningRequests;
    const { residency, hostBytes, hostDigests, loadSeconds, moves } = this.#adapters;
    const { tokensPerSecond, rowsPerStep, noAdapterPace } = this.#loop;
    const { maxSequences, maxStepTokens } = this.options.settings;
    return {
      device,
      deviceReason,
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
        pageTokens: kvPageTokens,
        bytes: kvPages * kvBytesPerPage,
      },
      ...(this.#closed ? {} : { memory: native.memory() }),
      ...(this.#closed || !drafter ? {} : { draft: drafter.status }),
      adapters: {
        bytes: residency.bytes,
        limitBytes: residency.limitBytes,
        hostBytes,
        host: hostDigests,
        resident: residency.resident(),
        waiting: residency.waiting(),
        moves: [...moves],
      },
      batch: {
        maxSequences,
        maxStepTokens,
        ...(rowsPerStep === undefined ? {} : { rows: rowsPerStep }),
      },
      pace: {
        backlogTokens: this.#loop.backlogTokens,
        ...(tokensPerSecond === undefined ? {} : { tokensPerSecond }),
        ...(noAdapterPace === undefined ? {} : { withoutAdapters: noAdapterPace }),
        loadSeconds,
      },
    };
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
    await Promise.all([this.#templates.close(), this.#structures.close()]);
    this.#closed = true;
    await Promise.all([this.options.model.native.close(), this.options.model.draft?.native.close()]);
  }

  /** Undefined: the answer is text, whatever it holds. */
  #formats({ wantedFormats }: GenerateRequest, { chat }: ReadPrompt): ResolvedFormats | undefined {
    return wantedFormats && chat && formatsOf(wantedFormats, chat, this.options.settings);
  }

  /** The first answer to a prompt, and the others beside it; they share what is computed of the prompt. */
  #beginAll(admitted: Admitted, signal: AbortSignal): Begun {
    const { request, id } = admitted;
    const all = new AbortController();
    const either = AbortSignal.any([signal, all.signal]);
    const { events, ready } = this.#begin(admitted, either);
    const beginOthers = () =>
      Array.from({ length: (request.n ?? 1) - 1 }, (_, at) => {
        this.#requests++;
        const other = this.#begin({ ...admitted, id: id + at + 1, choice: at + 1 }, either);
        other.ready.catch(() => undefined); // the first one's says it for all
        return other.events;
      });
    // Where the prompt is scored it is so once, before the others begin.
    const others = request.promptLogprobs === undefined ? beginOthers() : undefined;
    const cancel = (): void => all.abort(new AppError('client_closed_request'));
    return { ready, events: joinChoices({ leader: events, others: others ?? beginOthers, cancel }) };
  }

  /** A search over requests of one token each. */
  #beginBeams(admitted: Admitted, signal: AbortSignal): Begun {
    const { request, stops, prompt, arrival_ms, id } = admitted;
    const options = beamOptions(request, stops);
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    setMaxListeners(options.width + 10, either);
    const cancel = (): void => stop.abort(new AppError('client_closed_request'));
    const unpaced = { full: () => undefined, drained: () => undefined, abandoned: cancel };
    const answers = Array.from({ length: options.width }, () => new EventStream(UNREAD_TOKENS, unpaced));
    const step = {
      ...admitted,
      predicted: undefined,
      stops: { ...stops, maxTokens: 1, minTokens: 0 },
      request: {
        ...request,
        speculation: {},
        logprobs: Math.max(candidatesOf(options), request.logprobs ?? 0),
      },
    };
    const { promise: ready, resolve, reject } = withResolvers<void>();
    const askNext: AskNext = (generated, choice) => {
      this.#requests++;
      const ids = Int32Array.from([...prompt.ids, ...generated]);
      const part = { ...step, id: id + Math.max(0, choice - 1), choice, prompt: { ...prompt, ids } };
      const later = { isPart: true, arrival_ms: performance.now() };
      const begun = this.#begin(choice === 0 ? part : { ...part, ...later }, either);
      begun.ready.then(resolve, reject); // the first one's says it for all
      return begun.events;
    };
    const run = { request, stops, tokenizer: this.options.model.tokenizer, arrival_ms, askNext, answers };
    void runBeams(run)
      .catch((error: unknown) => this.#failBeams(answers, error))
      .finally(() => this.#ended());
    const [leader, ...others] = answers as [EventStream, ...EventStream[]];
    if (others.length === 0) return { ready, events: leader };
    const scores = request.promptLogprobs !== undefined;
    return { ready, events: joinChoices({ leader, others: scores ? () => others : others, cancel }) };
  }

  #failBeams(answers: readonly EventStream[], err: unknown): void {
    this.options.logger.error({ err }, 'a beam search failed');
    const { code, message } = new AppError('internal_error');
    for (const events of answers) events.push({ type: 'error', code, message });
  }

  #begin(admitted: Admitted, signal: AbortSignal): Begun {
    const { request, prompt, adapter, choice, structure } = admitted;
    const events = new EventStream(UNREAD_TOKENS, {
      full: () => this.#pause(sequence),
      drained: () => this.#resume(sequence),
      abandoned: () => this.#loop.cancel(sequence),
    });
    const cancel = (): void => this.#loop.cancel(sequence);
    const { promise: ready, resolve: onAdapter, reject } = withResolvers<void>();
    if (adapter === undefined) onAdapter();
    const sequence: Sequence = new Sequence({
      ...admitted,
      prompt: prompt.ids,
      kvPages: this.#pages,
      ...this.#wantedDrafts(request),
      mask: this.#mask(admitted, () => sequence),
      pooled: this.#pooled(admitted),
      addedTokens: prompt.added,
      maxTokens: admitted.stops.maxTokens,
      stopRule: new StopRule(this.options.model.tokenizer, admitted.stops),
      events,
      onAdapter,
      onEnd: (failure) => {
        signal.removeEventListener('abort', cancel);
        reject(failure ?? signal.reason); // without effect once the adapter was there
        this.#ended();
      },
    });
    if (choice === 0) {
      events.push({
        type: 'start',
        promptTokens: sequence.promptTokens,
        ...(request.returnPromptTokens ? { promptTokenIds: [...prompt.ids] } : {}),
        ...(admitted.formats ? { formats: admitted.formats } : {}),
      });
    }
    this.#submit(sequence);
    signal.addEventListener('abort', cancel, { once: true });
    return { events, ready };
  }

  /** Undefined: every token may be drawn. */
  #mask({ request, structure, stops }: Admitted, sequence: () => Sequence): TokenMask | undefined {
    const { allowedTokenIds } = request;
    if (structure)
      return this.#structures.begin(structure, {
        eosTokenIds: stops.eosTokenIds,
        allowedTokenIds,
        onReady: () => this.#loop.maskReady(sequence()),
        onFailed: (fault) => this.#loop.fail(sequence(), fault),
      });
    return stops.maxTokens > 0 && allowedTokenIds ? this.#structures.allow(allowedTokenIds) : undefined;
  }

  #makeStructures(metrics: ServingMetrics): AnswerStructures {
    const { model, settings } = this.options;
    const { tokenizer, base, eosTokenIds } = model;
    const { vocabSize } = base;
    const markTokens = this.#markTokens;
    return new AnswerStructures({
      vocabSize,
      vocabulary: () => modelVocabulary({ tokenizer, vocabSize, eosTokenIds, markTokens }),
      answers: settings.maxSequences + settings.maxQueuedRequests + SPARE_ANSWERS,
      compileTimeout_ms: settings.structureTimeout_ms,
      eosTokenIds,
      metrics,
    });
  }

  #pooled({ request, prompt }: Admitted): PooledState | undefined {
    const { pooling, base } = this.options.model;
    if (!request.embedding || pooling instanceof AppError) return undefined;
    return new PooledState(pooling, prompt.ids.length, base.hiddenSize);
  }

  #wantedDrafts({ speculation }: GenerateRequest): WantedDrafts {
    return wantedDrafts(speculation, this.options.settings.speculation, this.#drafts.drafter !== undefined);
  }

  #makeDrafts(sequences: number): StepDrafts {
    const { model, settings, logger, draftPolicy, textPolicy } = this.options;
    const { maxStepTokens: stepTokens } = settings;
    const limits = { stepTokens, sequences, pageTokens: model.native.description.kvPageTokens };
    const drafter =
      model.draft && makeDrafter({
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

  /** Nothing to compute when no token is wanted and no score, or the prompt is one token, which has none. */
  #submit(sequence: Sequence): void {
    const scoresAny = sequence.promptLogprobs !== undefined;
    if (scoresAny && sequence.promptTokens === 1) this.#outputs.emitPrompt(sequence);
    const computes = sequence.maxTokens > 0 || sequence.pooled !== undefined;
    if (computes || (scoresAny && sequence.promptTokens > 1)) this.#loop.submit(sequence);
    else {
      sequence.options.onAdapter(); // it needs none
      this.#loop.endWithoutStep(sequence);
    }
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
      hostAdapterBytes: this.#adapters.hostBytes,
      memory: status.memory,
      draft: status.draft,
    };
  }
}

interface ReadRequest extends Activation {
  readonly request: GenerateRequest;
  readonly prompt: ReadPrompt;
  readonly predicted: Int32Array | undefined;
  readonly formats: AnswerFormats | undefined;
  readonly stops: StopOptions;
  readonly bans: TokenBans;
  readonly structure: WishedStructure | undefined;
}

interface Admitted extends ReadRequest {
  readonly id: number;
  readonly choice: number;
  readonly arrival_ms: number;
  readonly chunkTokens: number | undefined;
  readonly isPart?: boolean;
}

interface Begun {
  readonly events: AsyncIterable<GenerateEvent>;
  /** Settles when its adapter is there, or will not be. */
  readonly ready: Promise<void>;
}

function shuttingDown(): AppError {
  return new AppError('engine_unavailable', { message: 'The engine is shutting down.' });
}
