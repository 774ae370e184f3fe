import type { BaseModel } from '#contracts/base-model.js';
import type { FactorDtype } from '#contracts/derivations-api.js';
import type { FloatDtype } from '#safetensors/floats.js';
import { STORED } from './compose.js';
import { DerivationRefused } from './derivation-refused.js';
import { encodeFloats, turned } from '#safetensors/floats.js';
import { type GgufTensor, writeGguf } from './gguf-file.js';
import type { LowRank } from './low-rank.js';
import { type Delta, plainDeltas, readFactors, type SourceVersion } from './source-version.js';

/** What llama.cpp calls a base, and how it keeps it. */
interface Family {
  readonly name: string;
  /** Queries and keys lie there with the two halves of each head's rotation interleaved. */
  readonly interleaved: boolean;
}

const llama = { name: 'llama', interleaved: true };
const plain = (name: string): Family => ({ name, interleaved: false });
const FAMILIES: Readonly<Record<string, Family>> = {
  LlamaForCausalLM: llama,
  MistralForCausalLM: llama,
  Qwen2ForCausalLM: plain('qwen2'),
  Qwen3ForCausalLM: plain('qwen3'),
  GemmaForCausalLM: plain('gemma'),
  Gemma2ForCausalLM: plain('gemma2'),
  Gemma3ForCausalLM: plain('gemma3'),
  Phi3ForCausalLM: plain('phi3'),
};
const IN_LAYER: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.qkv_proj': 'attn_qkv',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.gate_up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};
const OUTSIDE: Readonly<Record<string, string>> = { 'model.embed_tokens': 'token_embd', lm_head: 'output' };

/** Of the base that the version was validated against. */
export type ConvertedFor = Pick<BaseModel, 'architecture' | 'heads' | 'keyHeads'>;

interface Named {
  readonly module: string;
  readonly name: string;
  readonly delta: Delta;
}

/** The version as llama.cpp loads it with `--lora`. Throws DerivationRefused for what it has no form for. */
export async function convertToGguf(
  source: SourceVersion,
  {
    base,
    dtype,
    path,
  }: { readonly base: ConvertedFor; readonly dtype?: FactorDtype | undefined; readonly path: string },
): Promise<void> {
  const family = FAMILIES[base.architecture];
  if (!family) throw new DerivationRefused(`Adapters of ${base.architecture} have no GGUF form here yet.`);
  const named = [...plainDeltas(source)].map(([module, delta]) => ({ module, delta, name: nameOf(module) }));
  const alpha = commonAlpha(named.map(({ delta }) => delta));
  const tensors: GgufTensor[] = [];
  for (const each of named)
    tensors.push(...tensorsOf(source, each, { base, family, dtype, folded: alpha === undefined }));
  await writeGguf(
    path,
    {
      'general.architecture': family.name,
      'general.type': 'adapter',
      'general.name': source.name,
      'adapter.type': 'lora',
      // Of 0 nothing is made there: the factors are used as they are.
      'adapter.lora.alpha': { float32: alpha ?? 0 },
    },
    tensors,
  );
}

function nameOf(module: string): string {
  const outside = OUTSIDE[module];
  if (outside) return outside;
  const [, layer, inside = ''] = /^model\.layers\.(\d+)\.(.+)$/.exec(module) ?? [];
  const name = IN_LAYER[inside];
  if (layer === undefined || name === undefined)
    throw new DerivationRefused(`${module} has no name in GGUF files here.`);
  return `blk.${layer}.${name}`;
}

/** llama.cpp has one alpha for all, which it divides by each module's rank. Undefined: no one alpha gives every scale. */
function commonAlpha(deltas: readonly Delta[]): number | undefined {
  const [first] = deltas;
  const alpha = first && Math.fround(first.scale * first.rank);
  return deltas.every(({ scale, rank }) => Math.fround(scale * rank) === alpha) ? alpha : undefined;
}

interface Wanted {
  readonly base: ConvertedFor;
  readonly family: Family;
  readonly dtype: FactorDtype | undefined;
  /** The scale goes into B. */
  readonly folded: boolean;
}

function tensorsOf(source: SourceVersion, { module, name, delta }: Named, wanted: Wanted): GgufTensor[] {
  const [a, b] = [storedAs(delta.a.dtype, wanted.dtype), storedAs(delta.b.dtype, wanted.dtype)];
  const [rank, width] = delta.a.shape as [number, number];
  const [height] = delta.b.shape as [number];
  const embedding = delta.a.name.includes('lora_embedding_');
  const heads = headsOf(module, wanted);
  let read: Promise<LowRank> | undefined;
  const factors = (): Promise<LowRank> => (read ??= readFactors(source, delta));
  return [
    {
      name: `${name}.weight.lora_a`,
      dtype: a,
      shape: embedding ? [width, rank] : [rank, width],
      bytes: async () => {
        const values = (await factors()).a;
        return encodeFloats(a, embedding ? turned(values, rank) : values);
      },
    },
    {
      name: `${name}.weight.lora_b`,
      dtype: b,
      shape: [height, rank],
      bytes: async () => {
        const { b: values, scale } = await factors();
        read = undefined; // its last use
        const scaled = wanted.folded ? values.map((value) => value * scale) : values;
        return encodeFloats(b, heads === undefined ? scaled : interleaved(scaled, { rank, heads }));
      },
    },
  ];
}

function storedAs(own: FloatDtype, wanted: FactorDtype | undefined): GgufTensor['dtype'] {
  const dtype = wanted ? STORED[wanted] : own;
  return dtype === 'F64' ? 'F32' : dtype;
}

function headsOf(module: string, { base, family }: Wanted): number | undefined {
  const isQuery = module.endsWith('.q_proj');
  if (!family.interleaved || !(isQuery || module.endsWith('.k_proj'))) return undefined;
  const heads = isQuery ? base.heads : base.keyHeads;
  if (heads === undefined)
    throw new DerivationRefused('The engine does not say how many heads its base model has.');
  return heads;
}

/** [rows, rank]: of each head, the rows of the first half and of the second in turn. */
function interleaved(values: Float32Array, { rank, heads }: { rank: number; heads: number }): Float32Array {
  const result = new Float32Array(values.length);
  const size = values.length / rank / heads;
  for (let head = 0; head < heads; head += 1) {
    for (let row = 0; row < size; row += 1) {
      const from = head * size + (row % 2) * (size / 2) + (row >>> 1);
      result.set(values.subarray(from * rank, (from + 1) * rank), (head * size + row) * rank);
    }
  }
  return result;
}
