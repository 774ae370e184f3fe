import { describe, expect, it } from 'vitest';
import { BeamSearch, type BeamSearchOptions } from './beam-search.js';

const END = 9;

const searchOf = (earlyStopping: BeamSearchOptions['earlyStopping']) =>
  new BeamSearch({
    width: 2,
    maxTokens: 10,
    minTokens: 0,
    endings: new Set([END]),
    lengthPenalty: 1,
    earlyStopping,
  });

const choices = (...pairs: readonly (readonly [number, number])[]) =>
  pairs.map(([id, logprob]) => ({ id, logprob, text: '', bytes: [] }));

/** Two answers have ended (scores -1 and -0.3) beside a beam of a score of -0.1 so far. */
function advance(search: BeamSearch): void {
  search.advance([{ beam: undefined, next: choices([1, -0.1], [END, -1], [2, -2]) }]);
  const [likely, unlikely] = search.beams;
  search.advance([
    { beam: likely, next: choices([3, -0.1], [END, -0.5], [4, -9]) },
    { beam: unlikely, next: choices([5, -5], [6, -9], [7, -9]) },
  ]);
}

describe('BeamSearch', () => {
  it('ends with enough answers where it is told to stop early', () => {
    const search = searchOf(true);
    advance(search);
    expect(search.found.map(({ score }) => Number(score.toFixed(3)))).toEqual([-0.3, -1]);
    expect(search.isOver).toBe(true);
  });

  it.each([false, 'never'] as const)('goes on while an answer may become better (%s)', (earlyStopping) => {
    const search = searchOf(earlyStopping);
    advance(search);
    expect(search.isOver).toBe(false);
  });
});
