import { expect, it } from 'vitest';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';
import { codes, headerOf, read, type Shapes } from '../../../test/support/adapter-shapes.js';
import { denseChanges } from './dense/dense-changes.js';

/* Two layers, of which the second takes the keys of the first: its k_proj is in the checkpoint, and nothing reads it. */

const linear = (name: string): BaseModule => ({ name, kind: 'linear', out: 8, in: 8, bias: false });
const base: BaseModel = {
  name: 'base',
  digest: 'b'.repeat(64),
  architecture: 'Gemma4ForCausalLM',
  hiddenSize: 8,
  numLayers: 2,
  vocabSize: 40,
  maxContext: 64,
  tieWordEmbeddings: true,
  quantization: 'none',
  modules: ['0.self_attn.q_proj', '0.self_attn.k_proj', '1.self_attn.q_proj'].map((name) =>
    linear(`model.layers.${name}`),
  ),
  unreadModules: ['model.layers.1.self_attn.k_proj'],
};
const shapesOf = (...paths: string[]): Shapes =>
  Object.fromEntries(
    paths.flatMap((path) => [
      [`base_model.model.${path}.lora_A.weight`, [2, 8]],
      [`base_model.model.${path}.lora_B.weight`, [8, 2]],
    ]),
  );
const CONFIG = { peft_type: 'LORA', r: 2, target_modules: ['q_proj', 'k_proj'] };

it.each(['model.', 'model.language_model.'])(
  'leaves out what %slayers has of them, and says so',
  (prefix) => {
    const paths = ['0.self_attn.q_proj', '0.self_attn.k_proj', '1.self_attn.q_proj', '1.self_attn.k_proj'];
    const shapes = shapesOf(...paths.map((path) => `${prefix}layers.${path}`));
    const reading = read(CONFIG, shapes, base);
    if (reading.verdict === 'rejected') throw new Error(JSON.stringify(reading.report.errors));
    const adapted = base.modules.map(({ name }) => name);
    expect(reading.manifest.modules.map(({ module }) => module)).toEqual(adapted);
    expect(reading.report.warnings).toMatchObject([
      { code: 'module_unread', module: 'model.layers.1.self_attn.k_proj' },
    ]);
    const changes = denseChanges({ config: {}, header: headerOf(shapes), base });
    expect(changes.map(({ module }) => module).toSorted()).toEqual(adapted.toSorted());
  },
);

it('takes a list that names one in full', () => {
  const listed = ['model.layers.0.self_attn.k_proj', 'model.layers.1.self_attn.k_proj'];
  const config = { ...CONFIG, target_modules: listed };
  expect(read(config, shapesOf(...listed), base).verdict).toBe('accepted');
});

it('refuses the same of a base that reads them elsewhere', () => {
  const { unreadModules: _, ...other } = base;
  expect(codes(CONFIG, shapesOf('model.layers.1.self_attn.k_proj'), other)).toContain(
    'tensor_module_unknown',
  );
});
