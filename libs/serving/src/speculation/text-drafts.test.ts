import { describe, expect, it } from 'vitest';
import type { Sequence } from '../loop/sequence.js';
import { DraftPolicy } from './draft-policy.js';
import { TextDrafts, type TextOffer } from './text-drafts.js';

interface Asking {
  readonly adapter: string;
  readonly number: number;
}

interface Engine {
  /** Requests at a time, by the tokens that were generated; a new one comes for each that ends. */
  readonly batchOf: (generated: number) => number;
  readonly answerTokens?: number;
  readonly tokens: number;
  readonly adapterOf?: (request: number) => string;
  /** How many tokens its text offers now. */
  readonly foundOf?: (random: () => number) => number;
  /** How often a guess is right. */
  readonly rightOf: (asking: Asking) => number;
  readonly step_ms: (rows: number) => number;
  /** What is around each step. */
  readonly around_ms?: number;
  /** A step takes this much more or less, by chance. */
  readonly noise?: number;
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs decodes on a clock of its own, once with what is found in text and once without. */
function simulate(engine: Engine) {
  const { answerTokens = 100, adapterOf = () => 'a', around_ms = 1, noise = 0 } = engine;
  const drafts = new TextDrafts(new DraftPolicy(0));
  const random = randomOf(7);
  const draftedOf = new Map<string, number>();
  let [requests, generated, clock_ms, plain_ms, drafted] = [0, 0, 0, 0, 0];
  const begin = () => {
    const number = requests++;
    const adapter = adapterOf(number);
    return { adapter, number, maxTokens: answerTokens, generated: 0 };
  };
  let running: ReturnType<typeof begin>[] = [];
  const sequenceOf = (request: object) => request as Sequence;
  while (generated < engine.tokens) {
    const batch = engine.batchOf(generated);
    for (const gone of running.slice(batch)) drafts.drop(sequenceOf(gone));
    running = Array.from({ length: batch }, (_, i) => running[i] ?? begin());
    const offers: TextOffer[] = running.flatMap((request) => {
      const found = engine.foundOf?.(random) ?? 8;
      const room = Math.min(found, Math.floor(64 / batch), request.maxTokens - request.generated - 1);
      if (room < 1) return [];
      return [{ sequence: sequenceOf(request), kind: 'ngram', tokens: Array<number>(room).fill(0) }];
    });
    const taken = drafts.take(offers, { rows: batch, draws: batch });
    const rows = [...taken.values()].reduce((sum, length) => sum + length, batch);
    const took_ms = engine.step_ms(rows) * (1 + noise * (2 * random() - 1));
    clock_ms += took_ms + around_ms;
    const before = generated;
    for (const request of running) {
      const depth = taken.get(sequenceOf(request)) ?? 0;
      let right = 0;
      while (right < depth && random() < engine.rightOf(request)) right++;
      if (depth > 0) {
        drafts.noteVerified(sequenceOf(request), 'ngram', depth, right);
        draftedOf.set(request.adapter, (draftedOf.get(request.adapter) ?? 0) + depth);
      }
      request.generated += right + 1;
      generated += right + 1;
      drafted += depth;
    }
    plain_ms += ((generated - before) / batch) * (engine.step_ms(batch) + around_ms);
    const outcome = { rows, draws: batch, drafted: rows - batch, others: 0, took_ms };
    drafts.noteStep({ ...outcome, onlyDraws: true, reading_ms: 0, round_ms: took_ms + around_ms });
    running = running.map((request) => {
      if (request.generated < request.maxTokens) return request;
      drafts.drop(sequenceOf(request));
      return begin();
    });
  }
  return { speed: plain_ms / clock_ms, drafted, draftedOf, generated };
}

const always = (batch: number) => () => batch;
/** Reads its weights whatever the rows. */
const bound = { step_ms: (rows: number) => 10 + 0.1 * rows };
/** Each row costs the same. */
const busy = { step_ms: (rows: number) => 1 + rows };
/** Rows are cheap as long as they are few. */
const mixed = { step_ms: (rows: number) => 10 + Math.max(0, rows - 12) };
const now = (random: () => number): number => (random() < 0.2 ? 4 : 0);

describe('when guesses from text are checked', () => {
  it('is where they are right, with more tokens the more often', () => {
    const speedAt = (share: number) =>
      simulate({ ...bound, batchOf: always(1), tokens: 2_000, rightOf: () => share }).speed;
    const [all, most, half] = [speedAt(1), speedAt(0.8), speedAt(0.5)];
    expect(all).toBeGreaterThan(4);
    expect(most).toBeGreaterThan(2);
    expect(half).toBeGreaterThan(1.3);
    expect(all).toBeGreaterThan(most);
    expect(most).toBeGreaterThan(half);
  });

  const slow: [string, Omit<Engine, 'tokens'>][] = [
    ['they are never right', { ...bound, batchOf: always(1), rightOf: () => 0 }],
    ['they are never right, for many', { ...bound, batchOf: always(16), rightOf: () => 0 }],
    ['they are seldom right', { ...bound, batchOf: always(4), rightOf: () => 0.1 }],
    [
      'they are found now and then, and wrong',
      { ...mixed, batchOf: always(8), foundOf: now, rightOf: () => 0 },
    ],
    ['every row costs the same', { ...busy, batchOf: always(1), rightOf: () => 0.6 }],
    ['every row costs the same, for many', { ...busy, batchOf: always(32), rightOf: () => 0.6 }],
    ['steps take as they will', { ...busy, batchOf: always(8), noise: 0.3, rightOf: () => 0.5 }],
    [
      'the load comes and goes',
      {
        ...mixed,
        batchOf: (generated) => [1, 4, 12, 32, 6][Math.floor(generated / 300) % 5] as number,
        rightOf: () => 0.25,
      },
    ],
    ['answers are short', { ...busy, batchOf: always(4), answerTokens: 6, rightOf: () => 0.4 }],
  ];
  it.each(slow)('is never slower than 0.98 of without: %s', (_, engine) => {
    expect(simulate({ ...engine, tokens: 6_000 }).speed).toBeGreaterThan(0.98);
  });

  it('stops for an adapter whose texts repeat nothing, and goes on for the others', () => {
    const { speed, draftedOf, generated } = simulate({
      step_ms: (rows) => 10 + rows,
      batchOf: always(4),
      tokens: 8_000,
      adapterOf: (request) => (request % 2 === 0 ? 'right' : 'wrong'),
      rightOf: ({ adapter }) => (adapter === 'right' ? 0.9 : 0),
    });
    expect(speed).toBeGreaterThan(1.2);
    expect(draftedOf.get('wrong') ?? 0).toBeLessThan(generated * 0.15);
    expect(draftedOf.get('right') ?? 0).toBeGreaterThan(generated * 0.3);
  });

  it('stops for a request, and goes on for the others of its adapter', () => {
    const rightOf = ({ number }: Asking) => (number % 4 === 0 ? 0 : 0.9);
    expect(simulate({ ...bound, batchOf: always(4), tokens: 8_000, rightOf }).speed).toBeGreaterThan(1.5);
  });

  it('is at a light load, and not at one at which rows are not cheap', () => {
    const at = (batch: number) =>
      simulate({ ...mixed, batchOf: always(batch), tokens: 500 * batch, rightOf: () => 0.7 });
    expect(at(2).speed).toBeGreaterThan(1.5);
    const heavy = at(48);
    expect(heavy.speed).toBeGreaterThan(0.98);
    expect(heavy.drafted).toBeLessThan(heavy.generated * 0.1);
  });

  it('leaves a sequence out of which nothing is found', () => {
    const drafts = new TextDrafts(new DraftPolicy(0));
    expect(drafts.take([], { rows: 1, draws: 1 }).size).toBe(0);
  });
});
