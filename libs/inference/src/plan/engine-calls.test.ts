import { expect, it } from 'vitest';
import { type CompletionRequest, CompletionRequestSchema } from '#contracts/openai/completion-request.js';
import { finish, start, tokens } from '../../../../test/support/engine-events.js';
import { planCompletion } from './completion-plan.js';
import { bySequence, engineCalls } from './engine-calls.js';

const callsOf = (fields: object) =>
  engineCalls(
    planCompletion(CompletionRequestSchema.parse({ model: 'm', ...fields }) as CompletionRequest).sequences,
  );
const shapeOf = (fields: object) =>
  callsOf(fields).map(({ first, n, request }) => [first, n, request.sampling.seed]);

it('sends each prompt once, with or without a seed, also for the best of many', () => {
  expect(shapeOf({ prompt: ['a', 'b'], n: 3 })).toEqual([
    [0, 3, undefined],
    [3, 3, undefined],
  ]);
  expect(shapeOf({ prompt: ['a', 'b'], n: 2, seed: 5 })).toEqual([
    [0, 2, 5],
    [2, 2, 5],
  ]);
  expect(shapeOf({ prompt: 'a', n: 1, best_of: 4 })).toEqual([[0, 4, undefined]]);
});

it('keeps apart what does not follow by the seed', () => {
  const sequences = planCompletion(
    CompletionRequestSchema.parse({ model: 'm', prompt: 'a', n: 3 }) as CompletionRequest,
  ).sequences;
  const seeds = [7, 8, 3];
  const seeded = sequences.map(({ prompt, request }, i) => ({
    prompt,
    request: { ...request, sampling: { ...request.sampling, seed: seeds[i] as number } },
  }));
  expect(engineCalls(seeded).map(({ first, n }) => [first, n])).toEqual([
    [0, 2],
    [2, 1],
  ]);
});

it('gives every answer what the engine says once of the prompt, and the rest to the answer it is of', async () => {
  async function* merged() {
    yield { source: 0, value: start() };
    yield { source: 1, value: start() };
    yield { source: 1, value: { ...tokens('x', [1]), choice: 1 } };
    yield { source: 0, value: tokens('y', [2]) };
    yield { source: 1, value: { ...finish(), choice: 0 } };
  }
  const seen: [number, string][] = [];
  for await (const { source, value } of bySequence(merged(), callsOf({ prompt: ['a', 'b'], n: 2 }))) {
    seen.push([source, value.type]);
  }
  expect(seen).toEqual([
    [0, 'start'],
    [1, 'start'],
    [2, 'start'],
    [3, 'start'],
    [3, 'tokens'],
    [0, 'tokens'],
    [2, 'finish'],
  ]);
});
