import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { eagerDrafts } from '../support/eager-drafts.js';
import { generateRequest } from '../support/generate-request.js';
import { loadGolden } from '../support/golden.js';
import { ParityFixture } from '../support/parity-fixture.js';

/* Guesses from text in the real engine, whether or not they pay. */

const ADAPTERS = ['qv-r8', 'all-r16-bf16', 'rslora-r4'];
const { modelPath, folder } = loadGolden('cases/llama-gqa');
const PATTERN = [30, 31, 32, 33, 34, 35, 36];

let fixture: ParityFixture;
const digests: string[] = [];
beforeAll(async () => {
  fixture = await ParityFixture.open({ modelPath, textPolicy: eagerDrafts(6) });
  for (const name of ADAPTERS) digests.push(await fixture.serve(join(folder, 'adapters', name)));
}, 60_000);
afterAll(() => fixture.close());

async function scoredOf(body: GenerateRequest) {
  const events: GenerateEvent[] = [];
  for await (const event of await fixture.engine.generate(body, new AbortController().signal))
    events.push(event);
  return events.flatMap((event) => (event.type === 'tokens' ? (event.scored ?? []) : []));
}

it('gives the same tokens and scores with speculation as without, greedy and drawn, with adapters in one batch', async () => {
  const tokens = Array.from({ length: 60 }, (_, i) => PATTERN[i % PATTERN.length] as number);
  const drawn = [{ temperature: 0 }, { temperature: 0.7, topP: 0.9, seed: 11 }];
  const bodies = [undefined, ...digests].flatMap((adapter) =>
    drawn.map((sampling) => {
      const own = adapter === undefined ? {} : { adapter };
      const body = generateRequest({ kind: 'tokens', tokens }, { ...own, maxTokens: 120, logprobs: 2 });
      // A text of few tokens repeats itself, so some of the guesses are right.
      const logitBias = PATTERN.slice(0, 4).map((token) => ({ token, bias: 20 }));
      return { ...body, sampling: { ...body.sampling, ...sampling, logitBias } };
    }),
  );
  const plain = await Promise.all(bodies.map(scoredOf));
  const speculation = { ngram: { maxDraft: 6, minMatch: 1 } };
  const drafted = await Promise.all(bodies.map((body) => scoredOf({ ...body, speculation })));
  expect(drafted).toEqual(plain);
  expect(await fixture.metric('lorikeet_engine_speculation_accepted_tokens_total')).toBeGreaterThan(50);
});
