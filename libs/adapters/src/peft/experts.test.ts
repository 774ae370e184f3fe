import { describe, expect, it } from 'vitest';
import type { BaseExperts, BaseModel, BaseModule } from '#contracts/base-model.js';
import {
  codes as codesOf,
  headerOf,
  read as readShapes,
  type Shapes,
} from '../../../../test/support/adapter-shapes.js';
import { denseChanges } from '../dense/dense-changes.js';

/* Two layers of three experts, hidden 8, width 6: Mixtral's names. */

const HIDDEN = 8;
const WIDTH = 6;
const COUNT = 3;
const linear = (name: string, out: number, width: number, router = false): BaseModule => ({
  name,
  kind: 'linear',
  out,
  in: width,
  bias: false,
  ...(router && { router }),
});
const experts = (layer: number, names = { gate: 'w1', up: 'w3', down: 'w2' }): BaseExperts => ({
  name: `model.layers.${layer}.mlp.experts`,
  count: COUNT,
  hidden: HIDDEN,
  width: WIDTH,
  ...names,
  fusedUp: 'gate_up_proj',
  fusedDown: 'down_proj',
});
const base: BaseModel = {
  name: 'base',
  digest: 'b'.repeat(64),
  architecture: 'MixtralForCausalLM',
  hiddenSize: HIDDEN,
  numLayers: 2,
  vocabSize: 40,
  maxContext: 64,
  tieWordEmbeddings: false,
  quantization: 'none',
  modules: [0, 1].flatMap((layer) => [
    linear(`model.layers.${layer}.self_attn.q_proj`, HIDDEN, HIDDEN),
    linear(`model.layers.${layer}.mlp.gate`, COUNT, HIDDEN, true),
  ]),
  experts: [experts(0), experts(1)],
};

const read = (config: object, shapes: Shapes, of = base) =>
  readShapes({ peft_type: 'LORA', ...config }, shapes, of);
const codes = (config: object, shapes: Shapes, of = base) =>
  codesOf({ peft_type: 'LORA', ...config }, shapes, of);

const pair = (path: string, out: number, width: number, rank = 2): Shapes => ({
  [`base_model.model.${path}.lora_A.weight`]: [rank, width],
  [`base_model.model.${path}.lora_B.weight`]: [out, rank],
});
const merge = (...shapes: Shapes[]): Shapes => Object.assign({}, ...shapes) as Shapes;
const ATTENTION = merge(...[0, 1].map((i) => pair(`model.layers.${i}.self_attn.q_proj`, HIDDEN, HIDDEN)));
const ROUTERS = merge(...[0, 1].map((i) => pair(`model.layers.${i}.mlp.gate`, COUNT, HIDDEN)));

interface Names {
  readonly block?: string;
  readonly gate?: string;
  readonly up?: string;
  readonly down?: string;
}
const singles = ({ block = 'mlp', gate = 'w1', up = 'w3', down = 'w2' }: Names = {}): Shapes =>
  merge(
    ...[0, 1].flatMap((layer) =>
      Array.from({ length: COUNT }, (_, expert) => {
        const path = `model.layers.${layer}.${block}.experts.${expert}`;
        return merge(
          pair(`${path}.${gate}`, WIDTH, HIDDEN),
          pair(`${path}.${up}`, WIDTH, HIDDEN),
          pair(`${path}.${down}`, HIDDEN, WIDTH),
        );
      }),
    ),
  );
/** Of both layers; `turned` as PEFT wrote it before 0.21. */
const stacks = (paths: { up?: string; down?: string }, turned = false): Shapes =>
  merge(
    ...[0, 1].map((layer) => {
      const at = `model.layers.${layer}.mlp`;
      const side = (path: string | undefined, out: number, width: number) =>
        path === undefined
          ? {}
          : turned
            ? pair(`${at}.${path}`, width, out, 2 * COUNT)
            : pair(`${at}.${path}`, out, width, 2 * COUNT);
      return merge(side(paths.up, 2 * WIDTH, HIDDEN), side(paths.down, HIDDEN, WIDTH));
    }),
  );
const BOTH = { up: 'experts.base_layer', down: 'experts' };
const PARAMETERS = ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj'];
const STACKED = { r: 2, lora_alpha: 4, target_modules: [], target_parameters: PARAMETERS };
const SINGLE = { r: 2, lora_alpha: 4, target_modules: ['w1', 'w2', 'w3'] };

const modulesOf = (config: object, shapes: Shapes, of = base): string[] => {
  expect(codes(config, shapes, of)).toEqual([]);
  const reading = read(config, shapes, of);
  if (reading.verdict === 'rejected') return [];
  // The parity check's second reading takes the same modules, factors and scales.
  const dense = denseChanges({ config, header: headerOf(shapes), base: of });
  const lowRank = ({ module, lora }: (typeof reading.manifest.modules)[number]) => ({
    module,
    lowRank: lora && {
      a: lora.a.name,
      b: lora.b.name,
      scale: lora.scale,
      ...(lora.turned && { turned: true }),
    },
  });
  const byName = (a: { module: string }, b: { module: string }) => (a.module < b.module ? -1 : 1);
  expect(dense.toSorted(byName)).toEqual(reading.manifest.modules.map(lowRank).toSorted(byName));
  return reading.manifest.modules.map(({ module }) => module);
};

describe('single experts', () => {
  const own = [0, 1].flatMap((layer) =>
    Array.from({ length: COUNT }, (_, expert) =>
      ['w1', 'w3', 'w2'].map((name) => `model.layers.${layer}.mlp.experts.${expert}.${name}`),
    ).flat(),
  );
  it.each([
    ["as today's block is called", SINGLE, singles()],
    ["in Transformers 4's block", SINGLE, singles({ block: 'block_sparse_moe' })],
    [
      "by other models' names",
      { ...SINGLE, target_modules: ['gate_proj', 'up_proj', 'down_proj'] },
      singles({ gate: 'gate_proj', up: 'up_proj', down: 'down_proj' }),
    ],
  ])('are modules of the base: %s', (_, config, shapes) => {
    expect(modulesOf(config, shapes)).toEqual(own);
  });

  it('may have gate and up in one, and stand in lists', () => {
    const shapes = merge(
      ...[0, 1].flatMap((layer) =>
        Array.from({ length: COUNT }, (_, expert) =>
          merge(
            pair(`model.layers.${layer}.mlp.experts.gate_up_projs.${expert}`, 2 * WIDTH, HIDDEN),
            pair(`model.layers.${layer}.mlp.experts.down_projs.${expert}`, HIDDEN, WIDTH),
          ),
        ),
      ),
    );
    const config = { ...SINGLE, target_modules: '.*experts.*' };
    expect(codes(config, shapes), 'the pattern takes containers, too').toContain('target_unsupported');
    const modules = modulesOf({ ...SINGLE, target_modules: '.*_projs\\.\\d+' }, shapes);
    expect(modules).toContain('model.layers.1.mlp.experts.2.gate_up_proj');
    expect(modules).toContain('model.layers.1.mlp.experts.2.w2');
    expect(modules).toHaveLength(2 * 2 * COUNT);
  });

  it('come with all-linear, and with their router where the file has it', () => {
    const config = { ...SINGLE, target_modules: 'all-linear' };
    expect(modulesOf(config, merge(ATTENTION, singles()))).toHaveLength(2 + own.length);
    expect(modulesOf(config, merge(ATTENTION, ROUTERS, singles()))).toHaveLength(4 + own.length);
    expect(modulesOf(config, ATTENTION)).toHaveLength(2);
  });

  it('must all be there', () => {
    const { 'base_model.model.model.layers.1.mlp.experts.2.w2.lora_B.weight': _, ...some } = singles();
    expect(codes(SINGLE, some)).toEqual(['tensor_missing']);
    const more = pair('model.layers.0.mlp.experts.3.w1', WIDTH, HIDDEN);
    expect(codes(SINGLE, merge(singles(), more))).toEqual(['tensor_module_unknown']);
  });
});

describe('all experts of a layer', () => {
  const names = (leaf: string) => [0, 1].map((layer) => `model.layers.${layer}.mlp.experts.${leaf}`);

  it('have one A and one B, and gate and up stand within down', () => {
    expect(modulesOf(STACKED, stacks(BOTH)).toSorted()).toEqual(
      [...names('gate_up_proj'), ...names('down_proj')].toSorted(),
    );
  });

  it.each([
    ['gate_up_proj', { up: 'experts' }],
    ['down_proj', { down: 'experts' }],
  ])('have %s alone', (leaf, paths) => {
    expect(modulesOf({ ...STACKED, target_parameters: [leaf] }, stacks(paths))).toEqual(names(leaf));
  });

  it('are told from their turned form by the shapes, a square one by the others', () => {
    const reading = read(STACKED, stacks(BOTH, true));
    expect(
      reading.verdict === 'accepted' && reading.manifest.modules.map(({ lora }) => lora?.turned),
    ).toEqual([true, true, true, true]);
    modulesOf(STACKED, stacks(BOTH, true));
    const square: BaseModel = {
      ...base,
      experts: base.experts?.map((layer) => ({ ...layer, width: HIDDEN })) ?? [],
    };
    const shapes = (turned: boolean) =>
      merge(
        ...[0, 1].map((layer) => {
          const at = `model.layers.${layer}.mlp.experts`;
          const [out, width] = turned ? [HIDDEN, 2 * HIDDEN] : [2 * HIDDEN, HIDDEN];
          return merge(pair(`${at}.base_layer`, out, width, 2 * COUNT), pair(at, HIDDEN, HIDDEN, 2 * COUNT));
        }),
      );
    for (const turned of [false, true]) {
      const { manifest } = read(STACKED, shapes(turned), square) as {
        manifest?: { modules: { lora?: object }[] };
      };
      expect(manifest?.modules.every(({ lora }) => lora && 'turned' in lora === turned)).toBe(true);
    }
  });

  it('have ranks and scales by the name of the parameter', () => {
    const config = { ...STACKED, alpha_pattern: { 'experts\\.gate_up_proj': 8, down_proj: 2 } };
    const reading = read(config, stacks(BOTH), base);
    expect(reading.verdict === 'accepted' && reading.manifest.modules.map(({ lora }) => lora?.scale)).toEqual(
      [4, 1, 4, 1],
    );
    modulesOf(config, stacks(BOTH));
  });

  it('go with linear modules and routers, by either field', () => {
    const both = merge(ATTENTION, ROUTERS, stacks(BOTH));
    const parameters = [...PARAMETERS, 'mlp.gate.weight'];
    expect(
      modulesOf({ ...STACKED, target_modules: ['q_proj'], target_parameters: parameters }, both),
    ).toHaveLength(8);
    expect(modulesOf({ ...STACKED, target_modules: ['q_proj', 'gate'] }, both)).toHaveLength(8);
    const scaled = {
      ...STACKED,
      target_parameters: ['mlp.gate.weight'],
      alpha_pattern: { 'gate.weight': 6 },
    };
    const reading = read(scaled, ROUTERS, base);
    expect(reading.verdict === 'accepted' && reading.manifest.modules[0]?.lora?.scale).toBe(3);
    modulesOf(scaled, ROUTERS);
    const twice = { ...STACKED, target_modules: ['gate'], target_parameters: parameters };
    expect(codes(twice, both)).toContain('module_conflict');
  });

  it.each([
    [{ target_parameters: ['mlp.experts.gate_up'] }, 'target_none_matched'],
    [{ target_parameters: [...PARAMETERS, 'gate_up_proj_bias'] }, 'target_unsupported'],
    [{ use_dora: true }, 'config_conflict'],
    [{ lora_bias: true }, 'config_conflict'],
    [{ fan_in_fan_out: true }, 'config_conflict'],
    [{ alora_invocation_tokens: [3] }, 'config_conflict'],
    [{ r: 3 }, 'tensor_shape'],
    [{ target_parameters: PARAMETERS.slice(0, 1) }, 'tensor_module_unknown'],
  ])('are refused with %j: %s', (change, code) => {
    expect(codes({ ...STACKED, ...change }, stacks(BOTH))).toContain(code);
  });

  it('are unexpected where the config says nothing of them, and a name that matches nothing is a warning', () => {
    const config = { r: 2, lora_alpha: 4, target_modules: ['q_proj'] };
    expect(codes(config, merge(ATTENTION, stacks(BOTH)))).toContain('tensor_unexpected');
    const more = { ...STACKED, target_parameters: [...PARAMETERS, 'absent.weight'] };
    const reading = read(more, stacks(BOTH), base);
    expect(reading.report.warnings).toMatchObject([{ code: 'name_unmatched', field: 'target_parameters' }]);
  });
});
