import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './stack.js';

/** What Transformers + PEFT computed for one prompt with one adapter (null: the base). */
export interface GoldenRun {
  readonly adapter: string | null;
  readonly prompt: number;
  readonly greedy_ids: readonly number[];
  readonly greedy_logprobs: readonly number[];
  readonly prompt_logprobs: readonly (number | null)[];
  /** Gap between the best and the second choice of each step. */
  readonly margins: readonly number[];
}
export interface GoldenCase {
  readonly name: string;
  readonly folder: string;
  readonly modelPath: string;
  readonly prompts: readonly (readonly number[])[];
  readonly runs: readonly GoldenRun[];
  readonly adapters: readonly string[];
}

/** Where the gap is smaller, another correct implementation may choose the other token. */
export const CLOSE_CALL = 0.05;

/** What golden.json of the folder says. */
export function readGolden(
  folder: string,
): Pick<GoldenCase, 'prompts' | 'runs'> & { readonly model_of?: string } {
  return JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as ReturnType<typeof readGolden>;
}

/** `name`: a folder under test/golden, e.g. `cases/llama-gqa`; `model_of` in its golden.json lends it another case's model. */
export function loadGolden(name: string): GoldenCase {
  const folder = join(ROOT, 'test/golden', name);
  const { prompts, runs, model_of } = readGolden(folder);
  const modelFolder = model_of === undefined ? folder : join(ROOT, 'test/golden/cases', model_of);
  const adapters = readdirSync(join(folder, 'adapters')).toSorted();
  return { name, folder, modelPath: join(modelFolder, 'model'), prompts, runs, adapters };
}

/** How many greedy tokens must agree: all before the first close call. */
export function comparableTokens(run: GoldenRun): number {
  const close = run.margins.findIndex((margin) => margin < CLOSE_CALL);
  return close < 0 ? run.greedy_ids.length : close;
}
