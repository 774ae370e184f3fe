import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { generateRequest } from '../../../../test/support/generate-request.js';
import { collect, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const asked = (length: number, more: Partial<GenerateRequest>): GenerateRequest =>
  generateRequest(
    { kind: 'tokens', tokens: promptOf(length, 3) },
    { maxTokens: 6, ignoreEos: true, ...more },
  );

/** The ids listed with each generated token. */
const listedIn = (events: readonly GenerateEvent[]) =>
  events.flatMap((event) =>
    event.type === 'tokens' ? (event.scored ?? []).map(({ top }) => top.map(({ id }) => id)) : [],
  );

it('lists the tokens that each request names, beside requests that name others or none', async () => {
  const { engine } = fixture.open();
  const wishes: Partial<GenerateRequest>[] = [
    { logprobs: 0, logprobTokenIds: [9, 4, 7] },
    { logprobs: 2 },
    { logprobs: 5, logprobTokenIds: [1] },
    { logprobs: 0 },
    {},
    { logprobs: 0, logprobTokenIds: [4, 4], n: 2 },
  ];
  const signal = new AbortController().signal;
  const answers = await Promise.all(
    wishes.map(async (wish, i) => listedIn(await collect(await engine.generate(asked(5 + i, wish), signal)))),
  );
  const lengths = answers.map((answer) => answer.map((ids) => ids.length));
  expect(answers[0]).toEqual(Array.from({ length: 6 }, () => [9, 4, 7]));
  expect(lengths[1]).toEqual(Array(6).fill(2));
  expect(answers[2]).toEqual(Array.from({ length: 6 }, () => [1]));
  expect(lengths[3]).toEqual(Array(6).fill(0));
  expect(answers[4]).toEqual([]);
  expect(answers[5]).toEqual(Array.from({ length: 12 }, () => [4, 4]));
});

it('refuses a token outside the vocabulary by the name of the field', async () => {
  const { engine } = fixture.open();
  const request = asked(5, { logprobs: 0, logprobTokenIds: [2 ** 31 - 1] });
  await expect(async () =>
    collect(await engine.generate(request, new AbortController().signal)),
  ).rejects.toMatchObject({
    code: 'invalid_request',
    details: { param: 'logprob_token_ids' },
  });
});
