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
