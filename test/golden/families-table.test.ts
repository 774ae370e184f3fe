import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { inspectModel, openModel } from '#native-engine/load.js';
import type { ModelInspection, NetworkFeatures, OpenOptions } from '#native-engine/native.js';
import { ROOT } from '../support/stack.js';
import { type DriverLimits, StepDriver } from '../support/step-driver.js';

/* docs/families.md is what the engine says of the goldens' checkpoints, opened and computed in each format. */

const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 64, maxSequences: 2, maxContext: 64 };
const FORMATS = ['none', 'int8', 'int4', 'nf4'] as const;
type Format = (typeof FORMATS)[number];
/** Least correlation of tokens' log-probabilities with those of the weights as they are; chance gives about 0. */
const LEAST_ALIKE: Readonly<Record<Format, number>> = { none: 0.999999, int8: 0.99, int4: 0.8, nf4: 0.8 };
/**
 * A state gathers the roundings of all tokens before, and these are nets of 8 numbers a head and latents of 12: what quantizing
 * alone does to them is what the reference backend says, with which the CPU has to agree.
 */
const LEAST_ALIKE_NARROW: Readonly<Record<Format, number>> = {
  none: 0.999999,
  int8: 0.97,
  int4: 0.6,
  nf4: 0.5,
};
const LEAST_LIKE_REFERENCE = 0.999;
const PROMPT = Array.from({ length: 24 }, (_, i) => 3 + ((i * 7) % 50));

const goldens = ['cases', 'families'].flatMap((group) =>
  readdirSync(join(import.meta.dirname, group)).map((name) =>
    join(import.meta.dirname, group, name, 'model'),
  ),
);

/** Undefined: refused. */
function inspected(modelPath: string): ModelInspection | undefined {
  try {
    return inspectModel(modelPath);
  } catch {
    return undefined;
  }
}

async function scores(
  modelPath: string,
  quantization: Format,
  backend: OpenOptions['backend'] = 'cpu',
): Promise<number[]> {
  const options: OpenOptions = {
    modelPath,
    backend,
    threads: 2,
    quantization,
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 4 << 20, pageTokens: LIMITS.pageTokens, dtype: 'f32' },
  };
  const model = await openModel(options);
  try {
    return await new StepDriver(model, LIMITS).scorePrompt(PROMPT);
  } finally {
    await model.close();
  }
}

/** Pearson's. */
function correlation(xs: readonly number[], ys: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [mean(xs), mean(ys)];
  const together = (as: readonly number[], bs: readonly number[], a: number, b: number) =>
    as.reduce((sum, value, i) => sum + (value - a) * ((bs[i] ?? Number.NaN) - b), 0);
  const spread = Math.sqrt(together(xs, xs, meanX, meanX) * together(ys, ys, meanY, meanY));
  return together(xs, ys, meanX, meanY) / spread;
}

/** The formats in which the model answers about as with its own weights. */
async function formatsOf(modelPath: string, isNarrow: boolean): Promise<Format[]> {
  const least = isNarrow ? LEAST_ALIKE_NARROW : LEAST_ALIKE;
  const own = await scores(modelPath, 'none');
  const good: Format[] = [];
  for (const format of FORMATS) {
    const given = await scores(modelPath, format);
    expect(correlation(own, given), `${modelPath} in ${format}`).toBeGreaterThanOrEqual(least[format]);
    if (isNarrow) {
      const reference = await scores(modelPath, format, 'reference');
      expect(
        correlation(given, reference),
        `${modelPath} in ${format}, as the reference has it`,
      ).toBeGreaterThanOrEqual(LEAST_LIKE_REFERENCE);
    }
    good.push(format);
  }
  return good;
}

const COLUMNS: Readonly<Record<keyof NetworkFeatures, string>> = {
  norms: 'norms',
  positions: 'positions',
  attention: 'attention',
  mlp: 'MLP',
  others: 'besides',
};

const HEAD = `# Families by feature and format

What the engine's own network says of each checkpoint that its tests compare with Transformers and PEFT (tiny, of random
weights), and the values of \`QUANTIZATION\` in which it was opened and computed. A test writes this page.
[models.md](models.md) says what else a checkpoint may be.
`;

it('docs/families.md is what the engine says', async () => {
  const rows: string[] = [];
  for (const modelPath of goldens) {
    const inspection = inspected(modelPath);
    if (!inspection) continue;
    const { model_type } = JSON.parse(readFileSync(join(modelPath, 'config.json'), 'utf8')) as {
      model_type: string;
    };
    const features = Object.keys(COLUMNS).map(
      (column) => inspection.features[column as keyof NetworkFeatures],
    );
    const formats = await formatsOf(modelPath, /delta net|latent/.test(inspection.features.attention));
    rows.push(`| \`${model_type}\` | ${[...features, formats.join(', ')].join(' | ')} |`);
  }
  const head = ['model_type', ...Object.values(COLUMNS), 'formats'];
  const lines = [head, head.map(() => '---')].map((cells) => `| ${cells.join(' | ')} |`);
  const page = [HEAD, ...lines, ...new Set(rows.toSorted())].join('\n');
  await expect(`${page}\n`).toMatchFileSnapshot(join(ROOT, 'docs/families.md'));
});
