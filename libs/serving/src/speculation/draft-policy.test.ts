import { describe, expect, it } from 'vitest';
import { type Candidate, DraftPolicy } from './draft-policy.js';

/** A request of the simulated engine. */
interface Simulated extends Candidate {
  readonly adapter: string;
  readonly number: number;
  known: number;
  read: number;
  left: number;
}

interface Engine {
  /** Requests at a time; a new one comes for each that ends. */
  readonly batch: number;
  readonly promptTokens?: number;
  readonly answerTokens?: number;
  readonly tokens: number;
  readonly adapterOf?: (request: number) => string;
  /** How often a guess is right. */
  readonly rightOf: (adapter: string, request: number, generated: number) => number;
  readonly step_ms: (rows: number) => number;
  readonly draft_ms: (rows: number) => number;
  readonly costShare?: number;
  /** What is around each step of the draft model, and in none of the steps' own times. */
  readonly around_ms?: number;
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

/** Runs decodes on a clock of its own; what prompts take is the same with drafts and without. */
function simulate(engine: Engine) {
  const { batch, promptTokens = 12, answerTokens = 100, adapterOf = () => 'a', step_ms, draft_ms } = engine;
  const { around_ms = 0 } = engine;
  const policy = new DraftPolicy(engine.costShare ?? draft_ms(1) / step_ms(1));
  const random = randomOf(7);
  const draftedOf = new Map<string, number>();
  let [requests, generated, clock_ms, drafted] = [0, 0, 0, 0];
  const begin = (): Simulated => {
    const adapter = adapterOf(requests);
    const number = requests++;
    const request = {
      adapter,
      number,
      acceptance: policy.begin(adapter),
      known: promptTokens + 1,
      read: 0,
      left: answerTokens - 1,
      debt_ms: 0,
      isRead: false,
      get missing() {
        return request.known - request.read;
      },
      get most() {
        return Math.min(8, Math.floor(64 / batch), request.left - 1);
      },
      get remaining() {
        return request.left;
      },
    };
    return request;
  };
  let running = Array.from({ length: batch }, begin);
  const draftStep = (rows: number) => {
    clock_ms += draft_ms(rows) + around_ms;
    policy.noteDraftStep(rows, draft_ms(rows));
  };
  while (generated < engine.tokens) {
    const began_ms = clock_ms;
    const step = {
      rows: batch,
      draws: batch,
      times: { overhead_ms: step_ms(0), row_ms: step_ms(101) / 101 },
    };
    const plan = policy.plan(running, { ...step, draftRows: 512 });
    const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
    const own = sum([...plan.depths.keys()].map(({ missing }) => missing));
    const read = sum(plan.reads.values());
    let guessing_ms = own > 0 ? draft_ms(own) : 0;
    let reading_ms = 0;
    if (own + read > 0) {
      draftStep(own + read);
      reading_ms = draft_ms(own + read) - guessing_ms;
    }
    for (let depth = 2; ; depth++) {
      const rows = [...plan.depths.values()].filter((most) => most >= depth).length;
      if (rows === 0) break;
      draftStep(rows);
      guessing_ms += draft_ms(rows);
    }
    for (const [request, rows] of plan.reads) request.read += rows;
    const rows = batch + sum(plan.depths.values());
    clock_ms += step_ms(rows);
    const accepted: { candidate: Simulated; tokens: number }[] = [];
    for (const request of running) {
      const depth = plan.depths.get(request) ?? 0;
      let right = 0;
      const share = engine.rightOf(request.adapter, request.number, generated);
      while (right < depth && random() < share) right++;
      if (depth > 0) {
        request.read = request.known + Math.min(right, depth - 1);
        request.acceptance.note(depth, right);
        draftedOf.set(request.adapter, (draftedOf.get(request.adapter) ?? 0) + depth);
        if (right > 0) accepted.push({ candidate: request, tokens: right });
      }
      drafted += depth;
      request.known += right + 1;
      request.left -= right + 1;
      generated += right + 1;
    }
    const outcome = { rows, draws: batch, drafted: rows - batch, others: 0, took_ms: step_ms(rows) };
    const round_ms = clock_ms - began_ms;
    policy.noteStep({ ...outcome, onlyDraws: true, guessing_ms, reading_ms, round_ms, accepted });
    running = running.map((request) => {
      if (request.left > 0) return request;
      policy.end(request);
      return begin();
    });
  }
  const speed = ((generated / batch) * step_ms(batch)) / clock_ms;
  return { speed, drafted, draftedOf, generated };
}

/** Reads its weights whatever the rows. */
const bound = { step_ms: (rows: number) => 10 + 0.1 * rows, draft_ms: (rows: number) => 1.5 + 0.02 * rows };
/** Each row costs the same. */
const busy = { step_ms: (rows: number) => 1 + rows, draft_ms: (rows: number) => 0.2 + 0.15 * rows };

describe('when the draft model guesses', () => {
  it('is faster where guesses are right, the more the more often', () => {
    const speedAt = (share: number) =>
      simulate({ ...bound, batch: 1, tokens: 2_000, rightOf: () => share }).speed;
    const [all, most, half] = [speedAt(1), speedAt(0.8), speedAt(0.5)];
    expect(all).toBeGreaterThan(3);
    expect(most).toBeGreaterThan(1.5);
    expect(half).toBeGreaterThan(1.05);
    expect(all).toBeGreaterThan(most);
    expect(most).toBeGreaterThan(half);
  });

  const slow: [string, Omit<Engine, 'tokens'>][] = [
    ['guesses are never right', { ...bound, batch: 1, rightOf: () => 0 }],
    ['guesses are never right, for many', { ...bound, batch: 16, rightOf: () => 0 }],
    ['guesses are seldom right', { ...bound, batch: 4, rightOf: () => 0.15 }],
    [
      'the draft model is as slow as the model',
      { ...bound, draft_ms: bound.step_ms, batch: 1, rightOf: () => 1 },
    ],
    [
      'it is slower than was thought',
      { ...bound, draft_ms: (rows: number) => 12 + rows, costShare: 0.1, batch: 2, rightOf: () => 1 },
    ],
    [
      'what lies around the steps takes more than guesses bring in',
      { ...bound, batch: 4, around_ms: 20, rightOf: () => 1 },
    ],
    ['every row costs the same', { ...busy, batch: 32, rightOf: () => 0.6 }],
    [
      'prompts are long and answers short',
      { ...bound, batch: 8, promptTokens: 2_000, answerTokens: 8, rightOf: () => 1 },
    ],
    [
      'prompts are long and guesses never right',
      { ...bound, batch: 8, promptTokens: 2_000, rightOf: () => 0 },
    ],
  ];
  it.each(slow)('is never slower than 0.98 of without: %s', (_, engine) => {
    expect(simulate({ ...engine, tokens: 4_000 }).speed).toBeGreaterThan(0.98);
  });

  it('stops for an adapter that it is wrong about, and goes on for the others', () => {
    const adapterOf = (request: number) => (request % 2 === 0 ? 'right' : 'wrong');
    const rightOf = (adapter: string) => (adapter === 'right' ? 0.9 : 0);
    const { speed, draftedOf, generated } = simulate({
      ...bound,
      batch: 4,
      tokens: 8_000,
      adapterOf,
      rightOf,
    });
    // Requests of the one end sooner, so that most that run are of the other.
    expect(speed).toBeGreaterThan(1.05);
    expect(draftedOf.get('wrong') ?? 0).toBeLessThan(generated * 0.05);
    expect(draftedOf.get('right') ?? 0).toBeGreaterThan(generated * 0.3);
  });

  it('stops for a request that it is wrong about, and goes on for the others of its adapter', () => {
    const rightOf = (_: string, request: number) => (request % 4 === 0 ? 0 : 0.9);
    const { speed } = simulate({ ...bound, batch: 4, tokens: 8_000, rightOf });
    expect(speed).toBeGreaterThan(1.2);
  });

  it('guesses at a light load, and not at one at which rows are not cheap', () => {
    const step_ms = (rows: number) => 10 + Math.max(0, rows - 16);
    const at = (batch: number) =>
      simulate({ ...bound, step_ms, batch, tokens: 500 * batch, rightOf: () => 0.7 });
    expect(at(2).speed).toBeGreaterThan(1.3);
    const heavy = at(48);
    expect(heavy.speed).toBeGreaterThan(0.98);
    expect(heavy.drafted).toBeLessThan(heavy.generated * 0.1);
  });

  it('finds out again what steps take when the machine has become slower, or was slow as it began', () => {
    let steps = 0;
    const slow = () => (steps++ < 60 ? 4 : 1);
    const step_ms = (rows: number) => bound.step_ms(rows) * (rows > 1 ? slow() : 1);
    const { speed } = simulate({ ...bound, step_ms, batch: 1, tokens: 8_000, rightOf: () => 0.9 });
    expect(speed).toBeGreaterThan(1.3);
  });

  it('begins again where guesses have become right', () => {
    const rightOf = (_: string, __: number, generated: number) => (generated < 3_000 ? 0 : 0.95);
    const { speed } = simulate({ ...bound, batch: 2, tokens: 20_000, rightOf });
    expect(speed).toBeGreaterThan(1.3);
  });

  it('reads a long prompt where the answer is long enough to pay for it', () => {
    const engine = { ...bound, batch: 1, promptTokens: 400, answerTokens: 300, tokens: 6_000 };
    expect(simulate({ ...engine, rightOf: () => 0.9 }).speed).toBeGreaterThan(1.3);
  });
});
