import { setMaxListeners } from 'node:events';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { KvPages } from '../kv/kv-pages.js';
import type { OpenedModel } from '../model-opening.js';
import { type SpeculationSetting, wantedDrafts } from '../speculation/wanted-drafts.js';
import type { AnswerStructures } from '../structure/answer-structures.js';
import type { TokenMask } from '../structure/token-mask.js';
import { type AskNext, beamOptions, runBeams } from './beam-run.js';
import { candidatesOf } from './beam-search.js';
import { joinChoices } from './choices.js';
import type { EngineLoop } from './engine-loop.js';
import { EventStream } from './event-stream.js';
import { PooledState } from './pooled-state.js';
import type { ReadRequest } from './request-reader.js';
import { Sequence } from './sequence.js';
import type { StepOutputs } from './step-outputs.js';
import { StopRule } from './stop-rule.js';
import { withResolvers } from './with-resolvers.js';

export interface AnswerStarterOptions {
  readonly model: OpenedModel;
  readonly loop: EngineLoop;
  readonly pages: KvPages;
  readonly structures: AnswerStructures;
  readonly outputs: StepOutputs;
  readonly speculation: { readonly setting: SpeculationSetting; readonly hasModel: boolean };
  readonly logger: Logger;
  /** One more of the request's answers, or steps of its search, has begun beside the first. */
  readonly onBegun: () => void;
  /** One has ended. */
  readonly onEnded: () => void;
}

export interface Admitted extends ReadRequest {
  readonly id: number;
  readonly choice: number;
  readonly arrival_ms: number;
  readonly chunkTokens: number | undefined;
  readonly isPart?: boolean;
}

export interface Begun {
  readonly events: AsyncIterable<GenerateEvent>;
  /** Settles when its adapter is there, or will not be. */
  readonly ready: Promise<void>;
}

/** Tokens that may lie unread before a request pauses, and how long it may stay so. */
const UNREAD_TOKENS = 512;
const STALL_MS = 60_000;

/** Gives requests that were read to the loop: one answer, several to one prompt, or a search. */
export class AnswerStarter {
  constructor(private readonly options: AnswerStarterOptions) {}

  start(admitted: Admitted, signal: AbortSignal): Begun {
    const { request, stops } = admitted;
    if (request.beam && stops.maxTokens > 0) return this.#beginBeams(admitted, signal);
    return (request.n ?? 1) === 1 ? this.#begin(admitted, signal) : this.#beginAll(admitted, signal);
  }

  /** The first answer to a prompt, and the others beside it; they share what is computed of the prompt. */
  #beginAll(admitted: Admitted, signal: AbortSignal): Begun {
    const { request, id } = admitted;
    const all = new AbortController();
    const either = AbortSignal.any([signal, all.signal]);
    const { events, ready } = this.#begin(admitted, either);
    const beginOthers = () =>
      Array.from({ length: (request.n ?? 1) - 1 }, (_, at) => {
        this.options.onBegun();
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
    const { onBegun, onEnded } = this.options;
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
      onBegun();
      const ids = Int32Array.from([...prompt.ids, ...generated]);
      const part = { ...step, id: id + Math.max(0, choice - 1), choice, prompt: { ...prompt, ids } };
      const later = { isPart: true, arrival_ms: performance.now() };
      const begun = this.#begin(choice === 0 ? part : { ...part, ...later }, either);
      begun.ready.then(resolve, reject); // the first one's says it for all
      return begun.events;
    };
    const run = { request, stops, tokenizer: admitted.tokenizer, arrival_ms, askNext, answers };
    void runBeams(run)
      .catch((error: unknown) => this.#failBeams(answers, error))
      .finally(onEnded);
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
    const { request, prompt, adapter, choice } = admitted;
    const { loop, pages, speculation, onEnded } = this.options;
    const cancel = (): void => loop.cancel(sequence);
    const events = new EventStream(UNREAD_TOKENS, {
      full: () => this.#pause(sequence),
      drained: () => this.#resume(sequence),
      abandoned: cancel,
    });
    const { promise: ready, resolve: onAdapter, reject } = withResolvers<void>();
    if (adapter === undefined) onAdapter();
    const sequence: Sequence = new Sequence({
      ...admitted,
      prompt: prompt.ids,
      kvPages: pages,
      ...wantedDrafts(request.speculation, speculation.setting, speculation.hasModel),
      mask: this.#mask(admitted, () => sequence),
      pooled: this.#pooled(admitted),
      addedTokens: prompt.added,
      maxTokens: admitted.stops.maxTokens,
      stopRule: new StopRule(admitted.tokenizer, admitted.stops),
      events,
      onAdapter,
      onEnd: (failure) => {
        signal.removeEventListener('abort', cancel);
        reject(failure ?? signal.reason); // without effect once the adapter was there
        onEnded();
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
    const { structures, loop } = this.options;
    const { allowedTokenIds } = request;
    if (structure)
      return structures.begin(structure, {
        eosTokenIds: stops.eosTokenIds,
        allowedTokenIds,
        onReady: () => loop.maskReady(sequence()),
        onFailed: (fault) => loop.fail(sequence(), fault),
      });
    return stops.maxTokens > 0 && allowedTokenIds ? structures.allow(allowedTokenIds) : undefined;
  }

  #pooled({ request, prompt }: Admitted): PooledState | undefined {
    const { pooling, base } = this.options.model;
    if (!request.embedding || pooling instanceof AppError) return undefined;
    return new PooledState(pooling, prompt.ids.length, base.hiddenSize);
  }

  /** Nothing to compute when no token is wanted and no score, or the prompt is one token, which has none. */
  #submit(sequence: Sequence): void {
    const { loop, outputs } = this.options;
    const scoresAny = sequence.promptLogprobs !== undefined;
    if (scoresAny && sequence.promptTokens === 1) outputs.emitPrompt(sequence);
    const computes = sequence.maxTokens > 0 || sequence.pooled !== undefined;
    if (computes || (scoresAny && sequence.promptTokens > 1)) loop.submit(sequence);
    else {
      sequence.options.onAdapter(); // it needs none
      loop.endWithoutStep(sequence);
    }
  }

  #pause(sequence: Sequence): void {
    const { loop } = this.options;
    loop.pause(sequence);
    sequence.stallTimer = setTimeout(() => {
      loop.fail(sequence, new AppError('client_closed_request', { message: 'The reader is too slow.' }));
    }, STALL_MS);
  }

  #resume(sequence: Sequence): void {
    clearTimeout(sequence.stallTimer);
    this.options.loop.resume(sequence);
  }
}
