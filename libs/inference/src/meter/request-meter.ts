import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import type { Sequence } from '../plan/generation-plan.js';

interface Counted {
  readonly prompt: number;
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  /** Only of an activated LoRA. */
  adapterTokens?: number;
  predicted?: { readonly accepted: number; readonly rejected: number };
  firstToken_ms: number | undefined;
  lastToken_ms: number;
}

/** Counts what a request has used so far, also when it never finishes. */
export class RequestMeter {
  readonly #sequences: readonly Counted[];
  readonly #began_ms = performance.now();
  #ttft_ms: number | undefined;
  #queue_ms: number | undefined;
  /** Why each sequence ended that did, in the order of their ends. */
  readonly finishReasons: string[] = [];

  constructor(sequences: readonly Pick<Sequence, 'prompt'>[]) {
    this.#sequences = sequences.map(({ prompt }) => ({
      prompt,
      promptTokens: 0,
      cachedTokens: 0,
      completionTokens: 0,
      firstToken_ms: undefined,
      lastToken_ms: 0,
    }));
  }

  note(sequence: number, event: GenerateEvent): void {
    const counted = this.#sequences[sequence];
    if (!counted) return;
    if (event.type === 'start') counted.promptTokens = event.promptTokens;
    if (event.type === 'tokens') {
      counted.completionTokens += event.ids.length;
      counted.lastToken_ms = this.total_ms;
      counted.firstToken_ms ??= counted.lastToken_ms;
      this.#ttft_ms ??= counted.lastToken_ms;
    }
    if (event.type === 'finish') {
      Object.assign(counted, event.usage);
      this.finishReasons.push(event.reason);
      this.#queue_ms = Math.max(this.#queue_ms ?? 0, event.timing.queue_ms);
    }
  }

  /** From arrival to the first token of any sequence. */
  get ttft_ms(): number | undefined {
    return this.#ttft_ms;
  }

  get total_ms(): number {
    return performance.now() - this.#began_ms;
  }

  /** The longest that one of its sequences waited in an engine; undefined while none has finished. */
  get queue_ms(): number | undefined {
    return this.#queue_ms;
  }

  /** Times per token after the first, (last - first) / (tokens - 1), of all generations that have one. */
  get tpots_ms(): number[] {
    return this.#sequences.flatMap(({ firstToken_ms, lastToken_ms, completionTokens }) =>
      firstToken_ms === undefined || completionTokens < 2
        ? []
        : [(lastToken_ms - firstToken_ms) / (completionTokens - 1)],
    );
  }

  /** Their number and sum. */
  get tpot(): { readonly sequences: number; readonly sum_ms: number } {
    const times = this.tpots_ms;
    return { sequences: times.length, sum_ms: times.reduce((sum, time_ms) => sum + time_ms, 0) };
  }

  /** A prompt counts once, however many alternatives it has; every generated token counts. */
  get usage(): CompletionUsage {
    const prompts = new Map<number, Counted>();
    let completion_tokens = 0;
    for (const counted of this.#sequences) {
      completion_tokens += counted.completionTokens;
      const known = prompts.get(counted.prompt);
      if (!known || known.promptTokens === 0) prompts.set(counted.prompt, counted);
    }
    let prompt_tokens = 0;
    let cached_tokens = 0;
    let adapter_tokens: number | undefined;
    for (const { promptTokens, cachedTokens, adapterTokens } of prompts.values()) {
      prompt_tokens += promptTokens;
      cached_tokens += cachedTokens;
      if (adapterTokens !== undefined) adapter_tokens = (adapter_tokens ?? 0) + adapterTokens;
    }
    const predicted = this.#sequences.flatMap(({ predicted: each }) => each ?? []);
    return {
      prompt_tokens,
      completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
      prompt_tokens_details: { cached_tokens, ...(adapter_tokens === undefined ? {} : { adapter_tokens }) },
      ...(predicted.length > 0
        ? {
            completion_tokens_details: {
              accepted_prediction_tokens: predicted.reduce((sum, { accepted }) => sum + accepted, 0),
              rejected_prediction_tokens: predicted.reduce((sum, { rejected }) => sum + rejected, 0),
            },
          }
        : {}),
    };
  }
}
