import type { ErrorEnvelope } from '#contracts/errors.js';
import type { ModelResult } from '#contracts/openai/many-models.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import type { AnswerFormat, AnswerHead } from './answer-format.js';

/** One model's part of an answer of several. */
export interface ModelPart {
  readonly model: string;
  readonly usage: CompletionUsage;
  /** Absent: it failed before it began. */
  readonly begun: { readonly format: AnswerFormat; readonly system_fingerprint: string } | undefined;
  /** Why it has no answer, or no whole one. */
  readonly error: ErrorEnvelope['error'] | undefined;
}

interface Choice {
  readonly index: number;
}

interface Answer {
  readonly choices: readonly Choice[];
  readonly [member: string]: unknown;
}

/** A choice of one that failed, in the form of the endpoint. */
export type FailedChoice = (index: number, error: ErrorEnvelope['error']) => object;

export interface ManyModelsOptions {
  readonly head: Pick<AnswerHead, 'id' | 'created'>;
  readonly object: string;
  /** Choices that each model gives. */
  readonly choices: number;
  readonly failedChoice: FailedChoice;
  readonly failedChunk: FailedChoice;
}

/** Puts the answers of several models together: as one object, or as the chunks of one stream. */
export class ManyModelsFormat {
  constructor(private readonly options: ManyModelsOptions) {}

  /** A chunk of one model as one of the stream. */
  chunk(chunk: object, at: number, { model }: ModelPart): object {
    const { choices, ...head } = chunk as Answer;
    return { ...head, model, choices: this.#placed(choices, at, model) };
  }

  /** What tells in a stream that a model fails. */
  failure(at: number, { model, begun, error }: ModelPart): object {
    if (error === undefined) throw new TypeError(`${model} did not fail`);
    const choices = [this.options.failedChunk(0, error) as Choice];
    const { id, created } = this.options.head;
    return {
      id,
      object: this.options.object,
      created,
      model,
      system_fingerprint: begun?.system_fingerprint ?? '',
      choices: this.#placed(choices, at, model),
    };
  }

  /** What ends a stream that has its usage told. */
  closing(parts: readonly ModelPart[]): object {
    const results = parts.map((part) => resultOf(part));
    return { ...this.#head(parts), choices: [], usage: sumOf(parts), models: results };
  }

  whole(parts: readonly ModelPart[]): object {
    const answers = parts.map(({ begun, error, usage }) =>
      begun && !error ? (begun.format.whole(usage) as Answer) : undefined,
    );
    const choices = parts.flatMap(({ model, error }, at) => {
      const own = error ? [this.options.failedChoice(0, error) as Choice] : (answers[at]?.choices ?? []);
      return this.#placed(own, at, model);
    });
    const results = parts.map((part, at) => resultOf(part, answers[at]));
    const service_tier = answers.find((answer) => answer !== undefined)?.['service_tier'];
    return {
      ...this.#head(parts),
      choices,
      usage: sumOf(parts),
      models: results,
      ...(service_tier === undefined ? {} : { service_tier }),
    };
  }

  #placed(choices: readonly Choice[], at: number, model: string): object[] {
    return choices.map((choice) => ({ ...choice, index: at * this.options.choices + choice.index, model }));
  }

  #head(parts: readonly ModelPart[]): object {
    const { head, object } = this.options;
    const known = parts.flatMap(({ begun }) => begun?.system_fingerprint ?? []);
    return {
      id: head.id,
      object,
      created: head.created,
      model: parts.map(({ model }) => model).join(','),
      system_fingerprint: known.join(','),
    };
  }
}

/** What an answer says of its prompt is its model's: templates differ. */
const OF_PROMPT = ['prompt_token_ids', 'prompt_logprobs'] as const;

function resultOf({ model, begun, error, usage }: ModelPart, answer?: Answer): ModelResult {
  const ofPrompt = OF_PROMPT.flatMap((name) => (answer?.[name] === undefined ? [] : [[name, answer[name]]]));
  return {
    model,
    system_fingerprint: begun?.system_fingerprint ?? null,
    usage,
    ...(error ? { error } : {}),
    ...(Object.fromEntries(ofPrompt) as Pick<ModelResult, (typeof OF_PROMPT)[number]>),
  };
}

/** Of all models. */
export function sumOf(parts: readonly Pick<ModelPart, 'usage'>[]): CompletionUsage {
  const sum = (of: (usage: CompletionUsage) => number): number =>
    parts.reduce((total, { usage }) => total + of(usage), 0);
  const activated = parts.some(({ usage }) => usage.prompt_tokens_details.adapter_tokens !== undefined);
  const details = parts.some(({ usage }) => usage.completion_tokens_details);
  return {
    prompt_tokens: sum((usage) => usage.prompt_tokens),
    completion_tokens: sum((usage) => usage.completion_tokens),
    total_tokens: sum((usage) => usage.total_tokens),
    prompt_tokens_details: {
      cached_tokens: sum((usage) => usage.prompt_tokens_details.cached_tokens),
      ...(activated
        ? { adapter_tokens: sum((usage) => usage.prompt_tokens_details.adapter_tokens ?? 0) }
        : {}),
    },
    ...(details
      ? {
          completion_tokens_details: {
            accepted_prediction_tokens: sum(
              (usage) => usage.completion_tokens_details?.accepted_prediction_tokens ?? 0,
            ),
            rejected_prediction_tokens: sum(
              (usage) => usage.completion_tokens_details?.rejected_prediction_tokens ?? 0,
            ),
          },
        }
      : {}),
  };
}
