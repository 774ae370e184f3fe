import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { readConfig } from './config.js';
import { resolveTargets } from './targets.js';

const golden = new URL('../../../../test/golden/', import.meta.url);
const base = llamaBase(new URL('cases/llama-gqa/model/config.json', golden));

interface PeftAnswer {
  readonly config: Record<string, unknown>;
  readonly error?: string;
  readonly targets?: Record<string, [number, number]>;
  readonly saved?: string[];
}
/** Made by test/golden/make_targets.py. */
const answers = JSON.parse(readFileSync(new URL('peft-cases/targets.json', golden), 'utf8')) as PeftAnswer[];

function resolve(fields: Record<string, unknown>) {
  const { config, errors } = readConfig(
    JSON.stringify({ peft_type: 'LORA', task_type: 'CAUSAL_LM', ...fields }),
  );
  if (config === undefined) return { errors, targets: {}, saved: [] };
  const resolved = resolveTargets(config, base);
  return {
    errors: [...errors, ...resolved.errors],
    targets: Object.fromEntries(
      [...resolved.plan.targets].map(([name, { rank, scale }]) => [name, [rank, scale]]),
    ),
    saved: [...resolved.plan.saved].sort(),
  };
}

/** Where this reader refuses what PEFT passes over or computes: see docs/adapter-report.md. */
const STRICTER = new Set(['target_not_in_base', 'regex_unsupported', 'module_conflict']);

describe('the modules that a config adapts', () => {
  it.each(answers.map((answer): [string, PeftAnswer] => [JSON.stringify(answer.config), answer]))(
    'are those that PEFT adapts: %s',
    (_, { config, error, targets, saved }) => {
      const ours = resolve(config);
      const stricter = ours.errors.length > 0 && ours.errors.every(({ code }) => STRICTER.has(code));
      const refused = error !== undefined || stricter;
      const found = ours.errors.length > 0 ? 'refused' : { targets: ours.targets, saved: ours.saved };
      expect(found).toEqual(refused ? 'refused' : { targets, saved });
    },
  );

  it('are compared, not only refused', () => {
    expect(answers.filter(({ error }) => error === undefined).length).toBeGreaterThan(answers.length / 2);
    const stricter = answers.filter(
      ({ error, config }) => error === undefined && resolve(config).errors.length > 0,
    );
    expect(stricter.length).toBeLessThan(answers.length / 10);
  });
});
