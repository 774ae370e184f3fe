import { describe, expect, it } from 'vitest';
import { NoAdapterCeiling, type StepWork } from './no-adapter-pace.js';
import { nonNegativeFit } from './non-negative-fit.js';

const takes = ({ rows, requests, pairs }: StepWork): number =>
  2 + 0.3 * rows + 0.05 * requests + 0.001 * pairs;
/** Decodes, chunks of prompts, and both, with short and long contexts. */
const works: StepWork[] = [
  { rows: 1, requests: 1, pairs: 20 },
  { rows: 8, requests: 8, pairs: 4_000 },
  { rows: 64, requests: 1, pairs: 2_048 },
  { rows: 70, requests: 7, pairs: 9_000 },
  { rows: 2, requests: 2, pairs: 6_000 },
];
const step = (index: number): StepWork => works[index % works.length] as StepWork;

describe('the ceiling without adapters', () => {
  it('is unknown until there were steps without', () => {
    const ceiling = new NoAdapterCeiling();
    for (let i = 0; i < 50; i++) ceiling.note(step(i), 10, true);
    expect(ceiling.pace).toBeUndefined();
  });

  it('tells the share that adapters leave of the same steps, not of others', () => {
    const ceiling = new NoAdapterCeiling();
    for (let i = 0; i < 40; i++) ceiling.note(step(i), takes(step(i)), false);
    expect(ceiling.pace?.share).toBe(1);
    // Only decodes with long contexts from now on: slow per token, and not because of the adapters.
    const decode = { rows: 4, requests: 4, pairs: 20_000 };
    for (let i = 0; i < 2_000; i++) ceiling.note(decode, takes(decode) / 0.8, true);
    expect(ceiling.pace?.share).toBeCloseTo(0.8, 3);
    expect(ceiling.pace?.tokensPerSecond).toBeCloseTo((1000 * 4) / takes(decode), 1);
  });

  it('follows the engine where it becomes faster or slower, and is never above 1', () => {
    const ceiling = new NoAdapterCeiling();
    for (let i = 0; i < 40; i++) ceiling.note(step(i), takes(step(i)), false);
    for (let i = 0; i < 10_000; i++) ceiling.note(step(i), 2 * takes(step(i)), false);
    for (let i = 0; i < 2_000; i++) ceiling.note(step(i), 4 * takes(step(i)), true);
    expect(ceiling.pace?.share).toBeCloseTo(0.5, 2);
    for (let i = 0; i < 2_000; i++) ceiling.note(step(i), takes(step(i)), true);
    expect(ceiling.pace?.share).toBeCloseTo(1, 6);
    expect(ceiling.pace?.share).toBeLessThanOrEqual(1);
  });

  it('holds where all steps without adapters were alike', () => {
    const ceiling = new NoAdapterCeiling();
    const work = { rows: 4, requests: 4, pairs: 400 };
    for (let i = 0; i < 40; i++) ceiling.note(work, 20, false);
    for (let i = 0; i < 2_000; i++) ceiling.note(work, 40, true);
    expect(ceiling.pace?.share).toBeCloseTo(0.5, 6);
  });
});

describe('a fit without negative members', () => {
  it('leaves out what would be negative', () => {
    expect(
      nonNegativeFit(
        [
          [2, 0],
          [0, 2],
        ],
        [2, -4],
      ),
    ).toEqual([1, 0]);
    expect(
      nonNegativeFit(
        [
          [2, 0],
          [0, 2],
        ],
        [2, 4],
      ),
    ).toEqual([1, 2]);
    expect(nonNegativeFit([[1]], [-1])).toBeUndefined();
  });
});
