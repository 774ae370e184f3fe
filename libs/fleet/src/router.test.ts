import { describe, expect, it } from 'vitest';
import { type Candidate, rankEngines } from './router.js';

const engine = (name: string, about: Partial<Candidate> = {}) => ({
  name,
  ready: true,
  base: 'base',
  adapters: new Set<string>(),
  queuedTokens: 0,
  ...about,
});
const names = (engines: { name: string }[]) => engines.map(({ name }) => name);

describe('rankEngines', () => {
  it('prefers an engine that holds the adapter to one with a shorter queue', () => {
    const ranked = rankEngines(
      [engine('idle'), engine('busy', { adapters: new Set(['a']), queuedTokens: 900 })],
      { base: 'base', adapter: 'a' },
    );
    expect(names(ranked)).toEqual(['busy', 'idle']);
  });

  it('loads the adapter once more where that takes less than the queue of the engine that holds it', () => {
    const holds = { adapters: new Set(['a']), tokensPerSecond: 1_000 };
    const loadSeconds = { host: 0.05, storage: 0.5 };
    const rank = (queuedTokens: number, idle: Partial<Candidate> = {}) =>
      names(
        rankEngines(
          [
            engine('holds', { ...holds, queuedTokens }),
            engine('idle', { tokensPerSecond: 1_000, loadSeconds, ...idle }),
          ],
          { base: 'base', adapter: 'a' },
        ),
      )[0];
    expect([rank(400), rank(600)]).toEqual(['holds', 'idle']);
    const hostAdapters = new Set(['a']);
    expect([rank(40, { hostAdapters }), rank(60, { hostAdapters })]).toEqual(['holds', 'idle']);
    expect(rank(600, { queuedTokens: 200 })).toBe('holds');
  });

  it('counts a queue in time: the faster engine takes the longer one', () => {
    const ranked = rankEngines(
      [
        engine('slow', { queuedTokens: 100, tokensPerSecond: 50 }),
        engine('fast', { queuedTokens: 900, tokensPerSecond: 1_000 }),
        engine('new', { queuedTokens: 500 }), // taken for as fast as most
      ],
      { base: 'base', adapter: undefined },
    );
    expect(names(ranked)).toEqual(['new', 'fast', 'slow']);
  });

  it('takes the shortest queue among engines that hold the adapter', () => {
    const adapters = new Set(['a']);
    const ranked = rankEngines(
      [engine('long', { adapters, queuedTokens: 50 }), engine('short', { adapters, queuedTokens: 5 })],
      { base: 'base', adapter: 'a' },
    );
    expect(names(ranked)).toEqual(['short', 'long']);
  });

  it('ignores resident adapters for the base model', () => {
    const ranked = rankEngines(
      [engine('holds', { adapters: new Set(['a']), queuedTokens: 9 }), engine('empty', { queuedTokens: 3 })],
      { base: 'base', adapter: undefined },
    );
    expect(names(ranked)).toEqual(['empty', 'holds']);
  });

  it('keeps the given order among equals', () => {
    const ranked = rankEngines([engine('x'), engine('y'), engine('z')], { base: 'base', adapter: 'a' });
    expect(names(ranked)).toEqual(['x', 'y', 'z']);
  });

  it('skips engines that are not ready or have another base model', () => {
    const ranked = rankEngines(
      [engine('loading', { ready: false }), engine('other', { base: 'new' }), engine('good')],
      { base: 'base', adapter: undefined },
    );
    expect(names(ranked)).toEqual(['good']);
  });

  it('answers nothing when no engine fits', () => {
    expect(rankEngines([engine('down', { ready: false })], { base: 'base', adapter: undefined })).toEqual([]);
  });
});

/** Engines that compute 1,000 tokens a second and load an adapter in half a second, in simulated time. */
class Fleet {
  readonly engines = [0, 1, 2, 3].map((at) => ({
    at,
    ready: true,
    base: 'base',
    adapters: new Set<string>(),
    queuedTokens: 0,
    tokensPerSecond: 1_000,
    loadSeconds: { host: 0.1, storage: 0.5 },
    served: 0,
  }));
  longestQueue_s = 0;

  ask(adapter: string, tokens: number): void {
    const [best] = rankEngines(this.engines, { base: 'base', adapter });
    if (!best) throw new Error('no engine');
    best.adapters.add(adapter);
    best.queuedTokens += tokens;
    best.served += 1;
    this.longestQueue_s = Math.max(this.longestQueue_s, best.queuedTokens / 1_000);
  }

  pass(seconds: number): void {
    for (const each of this.engines) each.queuedTokens = Math.max(0, each.queuedTokens - 1_000 * seconds);
  }
}

describe('routing over time', () => {
  it('spreads one hot adapter over all engines before its queue grows', () => {
    const fleet = new Fleet();
    for (let i = 0; i < 1_000; i++) {
      fleet.ask('hot', 100);
      fleet.pass(0.03); // 3,333 tokens a second: what one engine computes thrice
    }
    expect(fleet.longestQueue_s).toBeLessThan(0.8);
    expect(Math.min(...fleet.engines.map(({ served }) => served))).toBeGreaterThan(200);
  });

  it('keeps adapters where they are while nobody waits', () => {
    const fleet = new Fleet();
    for (let i = 0; i < 1_000; i++) {
      fleet.ask(`adapter-${i % 20}`, 50);
      fleet.pass(0.06);
    }
    const copies = fleet.engines.reduce((sum, { adapters }) => sum + adapters.size, 0);
    expect(copies).toBe(20);
  });
});
