import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { generateRequest } from '../support/generate-request.js';
import { loadGolden } from '../support/golden.js';
import { ParityFixture } from '../support/parity-fixture.js';

/* Beam search in the real engine against Transformers' generate(num_beams) (make_beams.py). */

interface BeamRun {
  readonly adapter: string | null;
  readonly prompt: number;
  readonly beams: number;
  readonly length_penalty: number;
  readonly early_stopping: boolean | 'never';
  readonly endings: readonly number[];
  readonly min_tokens: number;
  readonly sequences: readonly (readonly number[])[];
  /** Null of one beam. */
  readonly scores: readonly number[] | null;
}

interface Answer {
  readonly ids: number[];
  readonly logprobs: number[];
  reason: string;
}

const TOLERANCE = 0.02;
const { prompts, runs, new_tokens } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'beams.json'), 'utf8'),
) as { prompts: number[][]; runs: BeamRun[]; new_tokens: number };

describe('beam search', () => {
  const golden = loadGolden('cases/llama-gqa');
  let fixture: ParityFixture;
  const digests = new Map<string, string>();
  beforeAll(async () => {
    fixture = await ParityFixture.open({ modelPath: golden.modelPath, env: { MAX_SEQUENCES: '6' } });
    for (const name of new Set(runs.flatMap(({ adapter }) => adapter ?? [])))
      digests.set(name, await fixture.serve(join(golden.folder, 'adapters', name)));
  });
  afterAll(() => fixture.close());

  const requestOf = (run: BeamRun, fields: Partial<GenerateRequest> = {}): GenerateRequest =>
    generateRequest(
      { kind: 'tokens', tokens: [...(prompts[run.prompt] ?? [])] },
      {
        ...(run.adapter === null ? {} : { adapter: digests.get(run.adapter) ?? '' }),
        n: run.beams,
        beam: { lengthPenalty: run.length_penalty, earlyStopping: run.early_stopping },
        maxTokens: new_tokens,
        minTokens: run.min_tokens,
        stopTokenIds: [...run.endings],
        logprobs: 0,
        ...fields,
      },
    );

  async function answersTo(body: GenerateRequest): Promise<Answer[]> {
    const answers = Array.from(
      { length: body.n ?? 1 },
      (): Answer => ({ ids: [], logprobs: [], reason: '' }),
    );
    for await (const event of await fixture.engine.generate(body, new AbortController().signal))
      note(answers, event);
    return answers;
  }

  it('finds what Transformers finds, with its scores, all searches at once and more beams than slots', async () => {
    const found = await Promise.all(runs.map((run) => answersTo(requestOf(run))));
    for (const [i, run] of runs.entries()) {
      const where = JSON.stringify({ ...run, sequences: undefined, scores: undefined });
      const answers = found[i] ?? [];
      expect(
        answers.map(({ ids }) => ids),
        where,
      ).toEqual(run.sequences);
      for (const [rank, { ids, logprobs, reason }] of answers.entries()) {
        const score = logprobs.reduce((sum, each) => sum + each, 0) / ids.length ** run.length_penalty;
        const wanted = run.scores?.[rank] ?? score;
        expect(Math.abs(score - wanted), where).toBeLessThan(
          TOLERANCE * Math.max(1, ids.length ** -run.length_penalty),
        );
        expect(reason).toBe(run.endings.includes(ids.at(-1) ?? -1) ? 'stop' : 'length');
      }
    }
    expect(fixture.engine.status().load).toEqual({ runningRequests: 0, waitingRequests: 0, queuedTokens: 0 });
  });
});

function note(answers: Answer[], event: GenerateEvent): void {
  if (event.type === 'error') throw new Error(event.message);
  if (event.type !== 'tokens' && event.type !== 'finish') return;
  const answer = answers[event.choice ?? 0] as Answer;
  if (event.type === 'finish') answer.reason = event.reason;
  else {
    answer.ids.push(...event.ids);
    answer.logprobs.push(...(event.scored ?? []).map(({ logprob }) => logprob));
  }
}
