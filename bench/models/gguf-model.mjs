import { syntheticVocabulary } from './byte-level-bpe.mjs';
import { convertBf16, GGML } from './ggml-types.mjs';
import { writeGguf } from './gguf-file.mjs';
import { checkpointTensors, elementCount, layerLinears, MAX_POSITIONS, NORM_EPSILON } from './shapes.mjs';
import { Bf16File } from './tensor-file.mjs';

/** @typedef {import('./shapes.mjs').Shape} Shape */
/** @typedef {import('./ggml-types.mjs').GgmlType} GgmlType */
/** @typedef {import('./gguf-file.mjs').GgufValue} GgufValue */

/** Rows that are converted at once: a few MiB. */
const CHUNK_ELEMENTS = 4 << 20;

const NAMES = new Map([
  ['self_attn.q_proj', 'attn_q'],
  ['self_attn.k_proj', 'attn_k'],
  ['self_attn.v_proj', 'attn_v'],
  ['self_attn.o_proj', 'attn_output'],
  ['mlp.gate_proj', 'ffn_gate'],
  ['mlp.up_proj', 'ffn_up'],
  ['mlp.down_proj', 'ffn_down'],
  ['input_layernorm', 'attn_norm'],
  ['post_attention_layernorm', 'ffn_norm'],
]);

/** llama.cpp's name of a checkpoint tensor. @param {string} name */
export function ggufName(name) {
  if (name === 'model.embed_tokens.weight') return 'token_embd.weight';
  if (name === 'model.norm.weight') return 'output_norm.weight';
  if (name === 'lm_head.weight') return 'output.weight';
  const [, layer, path] = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
  const short = NAMES.get(path ?? '');
  if (short === undefined) throw new Error(`no GGUF name for ${name}`);
  return `blk.${layer}.${short}.weight`;
}

/**
 * llama.cpp rotates neighbouring pairs where Hugging Face rotates halves, so the rows of q and k are interleaved:
 * row h*D + 2i + half of the GGUF is row h*D + half*D/2 + i of the checkpoint.
 * @param {number} row
 * @param {number} headDim
 */
export function rowBeforeInterleaving(row, headDim) {
  const inHead = row % headDim;
  return row - inHead + (inHead % 2) * (headDim / 2) + Math.floor(inHead / 2);
}

/** Whether the rows of this tensor (or of this adapter's B) are interleaved. @param {string} name */
export const isRotated = (name) => /self_attn\.[qk]_proj\./.test(name);

/** @param {Uint16Array} words  [rows, columns] whole heads @param {number} columns @param {number} headDim */
export function interleaveRows(words, columns, headDim) {
  const out = new Uint16Array(words.length);
  for (let row = 0; row * columns < words.length; row++) {
    const from = rowBeforeInterleaving(row, headDim) * columns;
    out.set(words.subarray(from, from + columns), row * columns);
  }
  return out;
}

/**
 * The checkpoint as llama.cpp reads it. All matrices in `type`, also the embedding and the output (llama.cpp's own
 * converter would keep more bits there and be slower); gains in f32.
 * @param {{ shape: Shape, checkpoint: string, path: string, type: GgmlType }} options
 */
export function writeGgufModel({ shape, checkpoint, path, type }) {
  const source = new Bf16File(checkpoint);
  const tensors = checkpointTensors(shape).map(({ name, shape: dims }) => {
    const target = dims.length === 1 ? 'f32' : type;
    const columns = /** @type {number} */ (dims.at(-1));
    const rows = elementCount(dims) / columns;
    return {
      name: ggufName(name),
      shape: dims,
      type: GGML[target].id,
      bytes: rows * GGML[target].bytesPerRow(columns),
      chunks: () => convertedRows({ source, name, rows, columns, type: target, headDim: shape.headDim }),
    };
  });
  try {
    writeGguf(path, modelMetadata(shape, type), tensors);
  } finally {
    source.close();
  }
}

/**
 * @param {{ source: Bf16File, name: string, rows: number, columns: number, type: GgmlType, headDim: number }} options
 * @returns {Generator<Uint8Array>}
 */
export function* convertedRows({ source, name, rows, columns, type, headDim }) {
  const heads = Math.max(1, Math.floor(CHUNK_ELEMENTS / (columns * headDim)));
  for (let row = 0; row < rows; row += heads * headDim) {
    const words = source.rows(name, row, Math.min(heads * headDim, rows - row));
    yield convertBf16(isRotated(name) ? interleaveRows(words, columns, headDim) : words, type);
  }
}

/** @param {Shape} shape @param {GgmlType} type @returns {Map<string, GgufValue>} */
function modelMetadata(shape, type) {
  const { tokens, merges } = syntheticVocabulary(shape.vocabulary);
  const control = 3;
  const normal = 1;
  return new Map(
    /** @type {[string, GgufValue][]} */ ([
      ['general.architecture', { string: 'llama' }],
      ['general.name', { string: `random ${shape.name}` }],
      ['general.file_type', { u32: GGML[type].fileType }],
      ['general.alignment', { u32: 32 }],
      ['llama.block_count', { u32: shape.layers }],
      ['llama.context_length', { u32: MAX_POSITIONS }],
      ['llama.embedding_length', { u32: shape.hidden }],
      ['llama.feed_forward_length', { u32: shape.ffn }],
      ['llama.attention.head_count', { u32: shape.heads }],
      ['llama.attention.head_count_kv', { u32: shape.kvHeads }],
      ['llama.attention.key_length', { u32: shape.headDim }],
      ['llama.attention.value_length', { u32: shape.headDim }],
      ['llama.attention.layer_norm_rms_epsilon', { f32: NORM_EPSILON }],
      ['llama.rope.freq_base', { f32: shape.ropeTheta }],
      ['llama.rope.dimension_count', { u32: shape.headDim }],
      ['llama.vocab_size', { u32: shape.vocabulary }],
      ['tokenizer.ggml.model', { string: 'gpt2' }],
      ['tokenizer.ggml.pre', { string: 'gpt-2' }],
      ['tokenizer.ggml.tokens', { strings: tokens }],
      [
        'tokenizer.ggml.token_type',
        { i32s: tokens.map((_, id) => (id >= tokens.length - 2 ? control : normal)) },
      ],
      ['tokenizer.ggml.merges', { strings: merges.map((pair) => pair.join(' ')) }],
      ['tokenizer.ggml.bos_token_id', { u32: shape.vocabulary - 2 }],
      ['tokenizer.ggml.eos_token_id', { u32: shape.vocabulary - 1 }],
      ['tokenizer.ggml.add_bos_token', { bool: false }],
    ]),
  );
}

/**
 * One PEFT adapter as llama.cpp reads it; the scale stays alpha / rank.
 * @param {{ shape: Shape, weights: string, alpha: number, path: string, type: GgmlType }} options
 */
export function writeGgufAdapter({ shape, weights, alpha, path, type }) {
  const source = new Bf16File(weights);
  const tensors = [];
  for (let layer = 0; layer < shape.layers; layer++) {
    for (const { path: module } of layerLinears(shape)) {
      const target = ggufName(`model.layers.${layer}.${module}.weight`);
      for (const side of /** @type {const} */ (['A', 'B'])) {
        const name = `base_model.model.model.layers.${layer}.${module}.lora_${side}.weight`;
        const dims = source.shape(name);
        const [rows = 0, columns = 0] = dims;
        const convert = () => {
          const words = source.rows(name, 0, rows);
          const rotated = side === 'B' && isRotated(name);
          return [convertBf16(rotated ? interleaveRows(words, columns, shape.headDim) : words, type)];
        };
        tensors.push({
          name: `${target}.lora_${side.toLowerCase()}`,
          shape: dims,
          type: GGML[type].id,
          bytes: rows * GGML[type].bytesPerRow(columns),
          chunks: convert,
        });
      }
    }
  }
  const metadata = new Map(
    /** @type {[string, GgufValue][]} */ ([
      ['general.architecture', { string: 'llama' }],
      ['general.type', { string: 'adapter' }],
      ['general.name', { string: 'random adapter' }],
      ['general.file_type', { u32: GGML[type].fileType }],
      ['adapter.type', { string: 'lora' }],
      ['adapter.lora.alpha', { f32: alpha }],
    ]),
  );
  try {
    writeGguf(path, metadata, tensors);
  } finally {
    source.close();
  }
}
