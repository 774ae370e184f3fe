import { expect } from 'vitest';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { openModel } from '#native-engine/load.js';
import { generateRequest } from './generate-request.js';
import type { ParityFixture } from './parity-fixture.js';
import { StepDriver } from './step-driver.js';

/* Answers of a whole engine, held to one pass of the native model over their tokens, to the bit. */

const LIMITS = { pageTokens: 16, maxStepTokens: 256, maxSequences: 8, maxContext: 256 };

export interface Answer {
  text: string;
  readonly ids: number[];
  readonly logprobs: number[];
  cached: number;
  predicted: { readonly accepted: number; readonly rejected: number } | undefined;
}

export const requestOf = (
  tokens: readonly number[],
  fields: Partial<GenerateRequest> = {},
): GenerateRequest =>
  generateRequest(
    { kind: 'tokens', tokens: [...tokens] },
    { maxTokens: 24, ignoreEos: true, logprobs: 0, ...fields },
  );

export async function answers({ engine }: ParityFixture, request: GenerateRequest): Promise<Answer[]> {
  const found = Array.from(
    { length: request.n ?? 1 },
    (): Answer => ({ text: '', ids: [], logprobs: [], cached: 0, predicted: undefined }),
  );
  for await (const event of await engine.generate(request, new AbortController().signal)) {
    if (event.type === 'error') throw new Error(event.message);
    if (event.type !== 'tokens' && event.type !== 'finish') continue;
    const answer = found[event.choice ?? 0] as Answer;
    if (event.type === 'finish') {
      answer.cached = event.usage.cachedTokens;
      answer.predicted = event.usage.predicted;
    } else {
      answer.text += event.text;
      answer.ids.push(...event.ids);
      answer.logprobs.push(...(event.scored ?? []).map(({ logprob }) => logprob));
    }
  }
  return found;
}

export const answerTo = async (opened: ParityFixture, request: GenerateRequest): Promise<Answer> =>
  (await answers(opened, request))[0] as Answer;

/** Log-probabilities of `ids` after the prompt, by one pass over both. */
async function scored(
  modelPath: string,
  prompt: readonly number[],
  ids: readonly number[],
): Promise<number[]> {
  const model = await openModel({
    modelPath,
    backend: 'cpu',
    threads: 2,
    quantization: 'none',
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 8 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  });
  try {
    const logprobs = await new StepDriver(model, LIMITS).scorePrompt([...prompt, ...ids]);
    return logprobs.slice(prompt.length - 1);
  } finally {
    await model.close();
  }
}

export async function expectOnePass(
  modelPath: string,
  prompt: readonly number[],
  answer: Answer,
): Promise<void> {
  expect(answer.logprobs).toEqual(await scored(modelPath, prompt, answer.ids));
}
