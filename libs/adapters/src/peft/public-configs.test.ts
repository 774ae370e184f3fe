import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { isMlxConfig, readMlxConfig } from '../mlx/mlx-config.js';
import { readConfig } from './config.js';
import { resolveTargets } from './targets.js';

/* adapter_config.json files as people publish them, names of organisations taken out, against a base of Llama's shape. */

type Config = Record<string, unknown>;
const golden = new URL('../../../../test/golden/', import.meta.url);
const configs = JSON.parse(readFileSync(new URL('public-configs/adapters.json', golden), 'utf8')) as Config[];
const base = llamaBase(new URL('cases/llama-gqa/model/config.json', golden), { num_hidden_layers: 80 });
const LINEAR = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

/** What people added by hand; a field that no PEFT release writes is refused. */
const ANNOTATIONS = ['task', 'domain'];

/** Whether a base of Llama's shape has modules for it. */
function fitsLlama(config: Config): boolean {
  const { peft_type, target_modules, task_type, auto_mapping } = config;
  const isAnnotated = ANNOTATIONS.some((name) => Object.hasOwn(config, name));
  const names = Array.isArray(target_modules) ? (target_modules as string[]) : [];
  const foreign = (auto_mapping as { base_model_class?: string } | null)?.base_model_class ?? 'Llama';
  const generates = task_type === 'CAUSAL_LM' || task_type === null;
  const known = names.length > 0 && names.every((name) => LINEAR.includes(name));
  return peft_type === 'LORA' && generates && known && foreign.startsWith('Llama') && !isAnnotated;
}

describe('the config reader, on published configs', () => {
  it('accepts every text generator whose modules the base has', () => {
    const fitting = configs.filter(fitsLlama);
    expect(fitting.length).toBeGreaterThan(40);
    for (const config of fitting) {
      const { config: read, errors } = readConfig(JSON.stringify(config));
      const { errors: faults, plan } = read
        ? resolveTargets(read, base)
        : { errors: ['unread'], plan: undefined };
      expect({ config, errors: [...errors, ...faults] }).toEqual({ config, errors: [] });
      expect(plan?.targets.size).toBeGreaterThan(0);
    }
  });

  it("reads MLX-LM's configs, and says what is wrong where the base has fewer layers", () => {
    const mlx = configs.filter(isMlxConfig);
    expect(mlx.length).toBeGreaterThan(4);
    for (const config of mlx) {
      // Without a scale what the factors are multiplied by is not known.
      const scale = (config['lora_parameters'] as { scale?: number } | undefined)?.scale;
      const fields = readMlxConfig(config, base).errors.map(({ field }) => field);
      expect({ config, fields }).toEqual({ config, fields: scale === undefined ? ['lora_parameters'] : [] });
    }
    const small = { ...base, numLayers: 3 };
    const codes = mlx.flatMap((config) => readMlxConfig(config, small).errors.map(({ code }) => code));
    expect(codes).toContain('target_not_in_base');
  });

  it('refuses the others with a reason that names a field, and as unknown only what people added by hand', () => {
    for (const config of configs.filter((each) => !fitsLlama(each) && !isMlxConfig(each))) {
      const { config: read, errors } = readConfig(JSON.stringify(config));
      const all = [...errors, ...(read ? resolveTargets(read, base).errors : [])];
      for (const { field, code, message } of all) {
        expect({ field, message }).toEqual({ field: expect.any(String), message });
        expect(code === 'config_field_unknown' && !ANNOTATIONS.includes(field ?? '')).toBe(false);
      }
    }
  });
});
