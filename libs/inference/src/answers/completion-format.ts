import type { GenerateEvent, TokenChoice } from '#contracts/engine-protocol.js';
import type { CompletionRequest } from '#contracts/openai/completion-request.js';
import { promptsOf } from '#contracts/openai/completion-request.js';
import type {
  Completion,
  CompletionChoice,
  CompletionLogprobs,
} from '#contracts/openai/completion-response.js';
import type { CompletionUsage, PromptLogprobs } from '#contracts/openai/usage.js';
import type { AnswerHead, AnswerFormat } from './answer-format.js';
import { promptLogprobsOf } from '../plan/completion-plan.js';
import { promptLogprobs } from './prompt-logprobs.js';
import { serviceTier } from './service-tier.js';
import { TextOffsets, type TokenNaming, tokenNaming } from './token-text.js';

/** What one engine event adds to a choice. */
type Piece = Pick<CompletionChoice, 'text' | 'finish_reason' | 'stop_reason'> & {
  logprobs?: CompletionLogprobs;
  token_ids?: number[];
  prompt_token_ids?: number[];
  prompt_logprobs?: PromptLogprobs;
};

type PromptEvent = Extract<GenerateEvent, { type: 'prompt' }>;

interface ScoredToken extends Omit<TokenChoice, 'logprob'> {
  /** null for the first token of a prompt. */
  readonly logprob: number | null;
  readonly top: readonly TokenChoice[];
  readonly notInText?: true | undefined;
}

/** Engine events of /v1/completions as OpenAI's text_completion, whole or in chunks. Keeps the state of each choice. */
export class CompletionFormat implements AnswerFormat {
  readonly #choices: ChoiceState[];

  constructor(
    private readonly head: AnswerHead,
    private readonly request: CompletionRequest,
  ) {
    const candidates = request.best_of ?? request.n ?? 1;
    this.#choices = promptsOf(request.prompt).flatMap((prompt) =>
      Array.from({ length: candidates }, () => new ChoiceState(request, prompt)),
    );
  }

  chunks(sequence: number, event: GenerateEvent, usage: () => CompletionUsage): Completion[] {
    const piece = this.#choice(sequence).add(event);
    if (!piece) return [];
    const { logprobs = null, ...rest } = piece;
    const sofar = this.request.stream_options?.continuous_usage_stats ? usage() : null;
    return [this.#object([{ index: sequence, ...rest, logprobs }], this.#usageField(sofar))];
  }

  closing(usage: CompletionUsage): Completion[] {
    return this.request.stream_options?.include_usage ? [this.#object([], { usage })] : [];
  }

  add(sequence: number, event: GenerateEvent): void {
    this.#choice(sequence).add(event);
  }

  whole(usage: CompletionUsage): Completion {
    return this.#object(
      this.#best().map((choice, index) => choice.whole(index)),
      { usage },
    );
  }

  #choice(sequence: number): ChoiceState {
    const choice = this.#choices[sequence];
    if (!choice) throw new RangeError(`there is no sequence ${sequence}`);
    return choice;
  }

  /** Of each prompt's candidates the n most likely per token, of beams the first ones; all of them when none is too many. */
  #best(): ChoiceState[] {
    const n = this.request.n ?? 1;
    const candidates = this.request.best_of ?? n;
    if (candidates === n) return this.#choices;
    const isRanked = this.request.use_beam_search === true;
    return promptsOf(this.request.prompt).flatMap((_, prompt) => {
      const all = this.#choices.slice(prompt * candidates, (prompt + 1) * candidates);
      if (!isRanked) all.sort((a, b) => b.meanLogprob - a.meanLogprob);
      return all.slice(0, n);
    });
  }

  /** With include_usage every chunk has the member, null before the last. */
  #usageField(usage: CompletionUsage | null): Pick<Completion, 'usage'> {
    return this.request.stream_options?.include_usage ? { usage } : {};
  }

  #object(choices: CompletionChoice[], usage: Pick<Completion, 'usage'>): Completion {
    const { id, created, model, system_fingerprint } = this.head;
    return {
      id: `cmpl-${id}`,
      object: 'text_completion',
      created,
      model,
      system_fingerprint,
      choices,
      ...usage,
      ...serviceTier(this.request),
    };
  }
}

/** One choice as far as it is generated. */
class ChoiceState {
  readonly #offsets = new TextOffsets();
  readonly #pieces: Piece[] = [];
  readonly #naming: TokenNaming;
  #logprobSum = 0;
  #tokens = 0;

  constructor(
    private readonly request: CompletionRequest,
    private readonly prompt: string | number[],
  ) {
    this.#naming = tokenNaming(request.return_tokens_as_token_ids);
  }

  /** Mean log-probability of the generated tokens; a choice without tokens is the least likely. */
  get meanLogprob(): number {
    return this.#tokens === 0 ? Number.NEGATIVE_INFINITY : this.#logprobSum / this.#tokens;
  }

  /** What the event adds; undefined when a client would learn nothing from it. */
  add(event: GenerateEvent): Piece | undefined {
    const piece = this.#piece(event);
    if (piece) this.#pieces.push(piece);
    return piece;
  }

  whole(index: number): CompletionChoice {
    const pieces = this.#pieces;
    const last = pieces.at(-1);
    const scored = pieces.find(({ prompt_logprobs }) => prompt_logprobs)?.prompt_logprobs;
    const ids = this.request.return_token_ids
      ? { prompt_token_ids: [] as number[], token_ids: [] as number[] }
      : {};
    for (const piece of pieces) {
      ids.prompt_token_ids?.push(...(piece.prompt_token_ids ?? []));
      ids.token_ids?.push(...(piece.token_ids ?? []));
    }
    return {
      index,
      text: pieces.map(({ text }) => text).join(''),
      logprobs: this.#wantsLogprobs ? joinLogprobs(pieces) : null,
      finish_reason: last?.finish_reason ?? null,
      stop_reason: last?.stop_reason ?? null,
      ...ids,
      ...(scored ? { prompt_logprobs: scored } : {}),
    };
  }

  get #wantsLogprobs(): boolean {
    return typeof this.request.logprobs === 'number';
  }

  #piece(event: GenerateEvent): Piece | undefined {
    const { echo, return_token_ids } = this.request;
    const none = { text: '', finish_reason: null, stop_reason: null };
    switch (event.type) {
      case 'start': {
        const text = echo && typeof this.prompt === 'string' && !this.#isScored ? this.prompt : '';
        const ids = return_token_ids ? { prompt_token_ids: event.promptTokenIds ?? [] } : {};
        return text !== '' || return_token_ids ? { ...none, text, ...ids } : undefined;
      }
      case 'prompt':
        return { ...none, ...this.#echoed(event), ...this.#promptLogprobs(event) };
      case 'tokens': {
        for (const { logprob } of event.scored ?? []) this.#logprobSum += logprob;
        this.#tokens += event.ids.length;
        const says = event.text !== '' || this.#wantsLogprobs || return_token_ids;
        const ids = return_token_ids ? { token_ids: event.ids } : {};
        return says
          ? { ...none, text: event.text, ...this.#generatedLogprobs(event.scored ?? []), ...ids }
          : undefined;
      }
      case 'finish':
        return { text: event.text, finish_reason: event.reason, stop_reason: event.stopReason };
      case 'embedding':
      case 'error':
        throw new TypeError(`an event of type ${event.type} has no place in an answer`);
    }
  }

  /** The engine says the prompt's text with its scores. */
  get #isScored(): boolean {
    return promptLogprobsOf(this.request, this.prompt).promptLogprobs !== undefined;
  }

  #echoed({ text, tokens }: PromptEvent): { text: string; logprobs?: CompletionLogprobs } {
    const { echo, logprobs } = this.request;
    if (!echo) return { text: '' };
    // More alternatives were asked for besides.
    const most = typeof this.request.prompt_logprobs === 'number' ? (logprobs ?? 0) : undefined;
    const listed = tokens.map((token) => ({ ...token, top: token.top.slice(0, most) }));
    return { text, ...this.#logprobs(listed, this.#offsets.ofPrompt(text, tokens)) };
  }

  #promptLogprobs(event: PromptEvent): { prompt_logprobs?: PromptLogprobs } {
    const { prompt_logprobs: count } = this.request;
    return typeof count === 'number' ? { prompt_logprobs: promptLogprobs(event, count) } : {};
  }

  #generatedLogprobs(tokens: readonly ScoredToken[]): { logprobs?: CompletionLogprobs } {
    return this.#logprobs(
      tokens,
      tokens.map((token) => this.#offsets.next(token)),
    );
  }

  #logprobs(tokens: readonly ScoredToken[], text_offset: number[]): { logprobs?: CompletionLogprobs } {
    if (!this.#wantsLogprobs) return {};
    return {
      logprobs: {
        tokens: tokens.map(this.#naming),
        token_logprobs: tokens.map(({ logprob }) => logprob),
        top_logprobs: tokens.map((token) => alternatives(token, this.#naming)),
        text_offset,
      },
    };
  }
}

/** The most likely tokens by name, and the token itself where it is none of them. */
function alternatives(token: ScoredToken, naming: TokenNaming): Record<string, number> | null {
  if (token.logprob === null) return null;
  const entries = token.top.map((other) => [naming(other), other.logprob] as const);
  return Object.fromEntries([...entries, [naming(token), token.logprob]]);
}

function joinLogprobs(pieces: readonly Piece[]): CompletionLogprobs {
  const all = pieces.flatMap(({ logprobs }) => logprobs ?? []);
  return {
    tokens: all.flatMap(({ tokens }) => tokens),
    token_logprobs: all.flatMap(({ token_logprobs }) => token_logprobs),
    top_logprobs: all.flatMap(({ top_logprobs }) => top_logprobs),
    text_offset: all.flatMap(({ text_offset }) => text_offset),
  };
}
