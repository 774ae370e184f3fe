import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdapterReportSchema } from '#contracts/adapter-report.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { readSafetensors } from '#safetensors/reader.js';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { canonicalJson } from './canonical-json.js';
import { readAdapter } from './read-adapter.js';

const golden = new URL('../../../../test/golden/', import.meta.url);
const base = llamaBase(new URL('peft-cases/tied/model/config.json', golden));
const folder = new URL('peft-cases/tied/adapters/lora-embed-and-head/', golden);
const goodConfig = JSON.parse(readFileSync(new URL('adapter_config.json', folder), 'utf8')) as Record<
  string,
  unknown
>;
const goodHeader = readSafetensors(readFileSync(new URL('adapter_model.safetensors', folder))).header;

const read = (config: unknown, header = goodHeader) =>
  readAdapter({
    configJson: typeof config === 'string' ? config : JSON.stringify(config),
    header,
    base,
    weights: { sha256: 'a', bytes: 1 },
  });

const field = fc.constantFrom(...Object.keys(goodConfig));
const value = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(
    null,
    true,
    false,
    0,
    1,
    -1,
    4,
    1e308,
    '',
    'all',
    '.*',
    '.*proj',
    '(',
    [],
    {},
    ['q_proj'],
    ['lm_head'],
    [0],
    { '.*': 2 },
  ),
);

describe('whatever the config', () => {
  it('there is a verdict, and it is as the report says', () => {
    const verdict = fc.property(fc.array(fc.tuple(field, value), { maxLength: 4 }), (changes) => {
      const { report, ...rest } = read({ ...goodConfig, ...Object.fromEntries(changes) });
      AdapterReportSchema.parse(report);
      const consistent = (report.errors.length === 0) === (rest.verdict === 'accepted');
      return consistent && report.verdict === rest.verdict;
    });
    expect(() => fc.assert(verdict, { numRuns: 1000 })).not.toThrow();
  });

  it('nothing but JSON objects are read', () => {
    const rejected = fc.property(fc.string(), (text) => read(text).verdict === 'rejected');
    expect(() => fc.assert(rejected)).not.toThrow();
  });
});

describe('whatever the tensors', () => {
  const tensors = goodHeader.tensors;

  it('an accepted file has each of its tensors in the manifest', () => {
    const reading = read(goodConfig);
    const manifest = reading.verdict === 'accepted' ? canonicalJson(reading.manifest) : '';
    expect(tensors.map(({ name }) => manifest.includes(JSON.stringify(name)))).toEqual(
      // Of the two saved base weights of tied embeddings, PEFT loads the output head's last.
      tensors.map(({ name }) => !name.endsWith('embed_tokens.base_layer.weight')),
    );
  });

  it('one that is missing, renamed or of another shape is never accepted', () => {
    const required = tensors.filter(({ name }) => !name.includes('base_layer'));
    const change = fc.constantFrom('missing', 'renamed', 'reshaped', 'retyped');
    const rejected = fc.property(
      fc.nat(required.length - 1),
      change,
      fc.string({ minLength: 1 }),
      (at, change, text) => {
        const victim = required[at];
        const changed = tensors.flatMap((tensor): SafetensorsHeader['tensors'][number][] => {
          if (tensor !== victim) return [tensor];
          if (change === 'missing') return [];
          if (change === 'renamed') return [{ ...tensor, name: tensor.name + text }];
          if (change === 'retyped') return [{ ...tensor, dtype: 'I64' }];
          return [{ ...tensor, shape: [...tensor.shape, 1] }];
        });
        return read(goodConfig, { ...goodHeader, tensors: changed }).verdict === 'rejected';
      },
    );
    expect(() => fc.assert(rejected)).not.toThrow();
  });
});
