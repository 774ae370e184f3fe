import { describe, expect, it } from 'vitest';
import type { BaseModel } from '#contracts/base-model.js';
import { readSafetensors } from '#safetensors/reader.js';
import { type TensorData, writeSafetensors } from '#safetensors/writer.js';
import { readAdapter } from '../peft/read-adapter.js';
import { readMlxConfig } from './mlx-config.js';
import { convertedFile, planConversion } from './mlx-conversion.js';

const [HIDDEN, WIDTH, COUNT, RANK, LAYERS] = [8, 6, 3, 2, 2];
const linear = (name: string, out: number) => ({
  name,
  kind: 'linear' as const,
  out,
  in: HIDDEN,
  bias: false,
});
const base: BaseModel = {
  name: 'base',
  digest: 'b'.repeat(64),
  architecture: 'Qwen3MoeForCausalLM',
  hiddenSize: HIDDEN,
  numLayers: LAYERS,
  vocabSize: 40,
  maxContext: 64,
  tieWordEmbeddings: false,
  quantization: 'none',
  modules: [0, 1].flatMap((layer) => [linear(`model.layers.${layer}.self_attn.q_proj`, HIDDEN)]),
  experts: [0, 1].map((layer) => ({
    name: `model.layers.${layer}.mlp.experts`,
    count: COUNT,
    hidden: HIDDEN,
    width: WIDTH,
    gate: 'gate_proj',
    up: 'up_proj',
    down: 'down_proj',
    fusedUp: 'gate_up_proj',
    fusedDown: 'down_proj',
  })),
};

let next = 1;
function tensor(name: string, shape: readonly number[]): TensorData & { values: Float32Array } {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (next += 0.5));
  return { name, dtype: 'F32', shape, bytes: new Uint8Array(values.buffer), values };
}

/** As LoRASwitchLinear holds them; `deep` with a dimension for the experts. */
function switched(layer: number, leaf: string, { deep = false, block = 'mlp.switch_mlp' } = {}) {
  const [out, width] = leaf === 'down_proj' ? [HIDDEN, WIDTH] : [WIDTH, HIDDEN];
  const path = `model.layers.${layer}.${block}.${leaf}`;
  return [
    tensor(`${path}.lora_a`, deep ? [COUNT, RANK, width] : [COUNT * RANK, width]),
    tensor(`${path}.lora_b`, [COUNT, out, RANK]),
  ] as const;
}

const CONFIG = {
  fine_tune_type: 'lora',
  num_layers: -1,
  lora_parameters: { rank: RANK, scale: 3, dropout: 0 },
};

async function converted(tensors: readonly TensorData[], config: object = CONFIG) {
  const file = writeSafetensors(tensors);
  const { adapter } = readMlxConfig({ ...config }, base);
  if (!adapter) throw new Error('refused');
  const plan = planConversion(adapter, readSafetensors(file).header, base);
  if ('errors' in plan) return { errors: plan.errors.map(({ message }) => message) };
  const pieces: Uint8Array[] = [];
  for await (const piece of convertedFile(plan, async (begin, end) => file.subarray(begin, end)))
    pieces.push(piece);
  const made = readSafetensors(Buffer.concat(pieces));
  const { configJson } = plan;
  const weights = { sha256: 'a'.repeat(64), bytes: 1 };
  return { made, read: readAdapter({ configJson, header: made.header, base, weights }) };
}

const LEAVES = ['gate_proj', 'up_proj', 'down_proj'];
const all = (options = {}) =>
  [0, 1].flatMap((layer) => LEAVES.flatMap((leaf) => [...switched(layer, leaf, options)]));

describe("experts in MLX-LM's format", () => {
  it.each([
    ['flat', {}],
    ['with a dimension for the experts', { deep: true }],
    ["in the block's own name", { block: 'mlp.experts' }],
    ['in the block of Mixtral', { block: 'block_sparse_moe.switch_mlp' }],
  ])('%s: each has its own rows of A and its own B, and answers as MLX-LM computes', async (_, options) => {
    const tensors = all(options);
    const { made, read, errors } = await converted(tensors);
    expect(errors).toBeUndefined();
    if (!made || read?.verdict !== 'accepted') throw new Error(JSON.stringify(read?.report.errors));
    expect(read.manifest.modules).toHaveLength(LAYERS * COUNT * LEAVES.length);
    expect(new Set(read.manifest.modules.map(({ lora }) => lora?.scale))).toEqual(new Set([3]));
    const floats = (name: string) => new Float32Array(new Uint8Array(made.bytes(name) ?? []).buffer);
    for (const layer of [0, 1]) {
      for (const leaf of LEAVES) {
        const [a, b] = tensors.filter(
          ({ name }) => name.includes(`layers.${layer}.`) && name.includes(`.${leaf}.`),
        );
        const [out, width] = leaf === 'down_proj' ? [HIDDEN, WIDTH] : [WIDTH, HIDDEN];
        for (let expert = 0; expert < COUNT; expert += 1) {
          const path = `base_model.model.model.layers.${layer}.mlp.experts.${expert}.${leaf}`;
          // lora_a.reshape(experts, -1, in)[e], lora_b[e]
          const own = { a: RANK * width, b: out * RANK };
          expect(floats(`${path}.lora_A.weight`)).toEqual(
            a?.values.subarray(expert * own.a, (expert + 1) * own.a),
          );
          expect(floats(`${path}.lora_B.weight`)).toEqual(
            b?.values.subarray(expert * own.b, (expert + 1) * own.b),
          );
        }
      }
    }
  });

  it('stand beside attention, whose factors are transposed', async () => {
    const a = tensor('model.layers.1.self_attn.q_proj.lora_a', [HIDDEN, RANK]);
    const b = tensor('model.layers.1.self_attn.q_proj.lora_b', [RANK, HIDDEN]);
    const experts = LEAVES.flatMap((leaf) => [...switched(1, leaf)]);
    const { made, read } = await converted([a, b, ...experts], { ...CONFIG, num_layers: 1 });
    if (!made || read?.verdict !== 'accepted') throw new Error(JSON.stringify(read?.report.errors));
    expect(read.manifest.modules).toHaveLength(1 + COUNT * LEAVES.length);
    const found = new Float32Array(
      new Uint8Array(made.bytes('base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight') ?? [])
        .buffer,
    );
    expect(found[1]).toBe(a.values[RANK]);
  });

  it('are refused with what is wrong: another number of experts or rank, a layer that has none', async () => {
    const wrong = tensor('model.layers.0.mlp.switch_mlp.gate_proj.lora_a', [(COUNT + 1) * RANK, HIDDEN]);
    expect((await converted([wrong])).errors?.[0]).toContain('which is not 3 experts of rank 2');
    const early = await converted([...switched(0, 'gate_proj')], { ...CONFIG, num_layers: 1 });
    expect(early.errors?.[0]).toContain('only the last 1 of 2');
  });

  it('may be as many as a layer of published models has', () => {
    const [layers, count] = [8, 128];
    const one = base.experts?.[0];
    if (!one) throw new Error('no experts');
    const large: BaseModel = {
      ...base,
      numLayers: layers,
      modules: Array.from({ length: layers }, (_, layer) =>
        linear(`model.layers.${layer}.self_attn.q_proj`, HIDDEN),
      ),
      experts: Array.from({ length: layers }, (_, layer) => ({
        ...one,
        name: `model.layers.${layer}.mlp.experts`,
        count,
      })),
    };
    const tensors = Array.from({ length: layers }, (_, layer) =>
      LEAVES.flatMap((leaf) => {
        const [out, width] = leaf === 'down_proj' ? [HIDDEN, WIDTH] : [WIDTH, HIDDEN];
        const path = `model.layers.${layer}.mlp.switch_mlp.${leaf}`;
        return [
          tensor(`${path}.lora_a`, [count * RANK, width]),
          tensor(`${path}.lora_b`, [count, out, RANK]),
        ];
      }),
    ).flat();
    const file = writeSafetensors(tensors);
    const { adapter } = readMlxConfig(CONFIG, large);
    const plan = adapter && planConversion(adapter, readSafetensors(file).header, large);
    if (!plan || 'errors' in plan) throw new Error('refused');
    const shaped = plan.tensors.map(({ name, dtype, shape }) => ({
      name,
      dtype,
      shape,
      bytes: new Uint8Array(shape.reduce((a, b) => a * b, 4)),
    }));
    const { header } = readSafetensors(writeSafetensors(shaped));
    const weights = { sha256: 'a'.repeat(64), bytes: 1 };
    const read = readAdapter({ configJson: plan.configJson, header, base: large, weights });
    if (read.verdict === 'rejected') throw new Error(JSON.stringify(read.report.errors.slice(0, 3)));
    expect(read.manifest.modules).toHaveLength(layers * count * LEAVES.length);
  });
});
