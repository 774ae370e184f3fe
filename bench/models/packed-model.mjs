import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { f16Bits } from './ggml-types.mjs';
import { Bf16File, writeSafetensors, writeWhole } from './tensor-file.mjs';

/*
 * A checkpoint's linear maps as other tools pack them, each weight rounded to the nearest: GPTQ's int4 in groups of 128, and
 * compressed-tensors' int8 with a scale for each output. Embedding, norms and head stay what they are.
 */
export const PACKED = /** @type {const} */ (['gptq', 'w8a8']);
/** @typedef {(typeof PACKED)[number]} PackedFormat */
/** @typedef {import('./tensor-file.mjs').NewTensor} NewTensor */

const GROUP = 128;
const ZERO = 8;

const QUANTIZATION_CONFIG = {
  gptq: {
    quant_method: 'gptq',
    bits: 4,
    group_size: GROUP,
    sym: true,
    desc_act: false,
    checkpoint_format: 'gptq',
  },
  w8a8: {
    quant_method: 'compressed-tensors',
    format: 'int-quantized',
    config_groups: {
      group_0: {
        targets: ['Linear'],
        weights: { num_bits: 8, type: 'int', strategy: 'channel', symmetric: true, dynamic: false },
        input_activations: null,
        output_activations: null,
      },
    },
    ignore: ['lm_head'],
    quantization_status: 'compressed',
  },
};

/** @param {Uint16Array} words  bf16 */
function floatsOf(words) {
  return new Float32Array(Uint32Array.from(words, (word) => word << 16).buffer);
}

/** @param {Float32Array} values @param {number} from @param {number} to */
function largest(values, from, to) {
  let most = 0;
  for (let i = from; i < to; i++) most = Math.max(most, Math.abs(/** @type {number} */ (values[i])));
  return most;
}

/** @param {Float32Array} weights  [outputs, inputs] @param {number} outputs @param {number} inputs */
function gptqTensors(weights, outputs, inputs) {
  const words = new Uint32Array((inputs / 8) * outputs);
  const scales = new Uint16Array((inputs / GROUP) * outputs);
  for (let n = 0; n < outputs; n++) {
    for (let group = 0; group < inputs / GROUP; group++) {
      const first = n * inputs + group * GROUP;
      const scale = largest(weights, first, first + GROUP) / 7.5 || 1;
      scales[group * outputs + n] = f16Bits(scale);
      for (let i = 0; i < GROUP; i++) {
        const code = Math.min(
          15,
          Math.max(0, Math.round(/** @type {number} */ (weights[first + i]) / scale) + ZERO),
        );
        const k = group * GROUP + i;
        const word = (k >> 3) * outputs + n;
        words[word] = /** @type {number} */ (words[word]) | (code << (4 * (k & 7)));
      }
    }
  }
  return { words, scales };
}

/** @param {Float32Array} weights @param {number} outputs @param {number} inputs */
function int8Tensors(weights, outputs, inputs) {
  const codes = new Int8Array(weights.length);
  const scales = new Float32Array(outputs);
  for (let n = 0; n < outputs; n++) {
    const scale = largest(weights, n * inputs, (n + 1) * inputs) / 127 || 1;
    scales[n] = scale;
    for (let k = n * inputs; k < (n + 1) * inputs; k++)
      codes[k] = Math.round(/** @type {number} */ (weights[k]) / scale);
  }
  return { codes, scales };
}

const bytesOf = (/** @type {ArrayBufferView} */ { buffer, byteOffset, byteLength }) =>
  new Uint8Array(/** @type {ArrayBuffer} */ (buffer), byteOffset, byteLength);

/**
 * What stands for a linear map's weight.
 * @param {{ source: Bf16File, name: string, format: PackedFormat }} what
 * @returns {NewTensor[]}
 */
function packedTensors({ source, name, format }) {
  const [outputs = 0, inputs = 0] = source.shape(name);
  const module = name.slice(0, -'.weight'.length);
  const weights = () => floatsOf(source.rows(name, 0, outputs));
  if (format === 'w8a8') {
    /** @type {ReturnType<typeof int8Tensors> | undefined} */
    let made; // between its first tensor and its last
    return [
      {
        name,
        shape: [outputs, inputs],
        dtype: 'I8',
        chunks: () => [bytesOf((made = int8Tensors(weights(), outputs, inputs)).codes)],
      },
      {
        name: `${module}.weight_scale`,
        shape: [outputs, 1],
        dtype: 'F32',
        chunks: () => [bytesOf(/** @type {NonNullable<typeof made>} */ (made).scales)],
      },
    ];
  }
  const groups = inputs / GROUP;
  /** @type {ReturnType<typeof gptqTensors> | undefined} */
  let made;
  return [
    {
      name: `${module}.qweight`,
      shape: [inputs / 8, outputs],
      dtype: 'I32',
      chunks: () => [bytesOf((made = gptqTensors(weights(), outputs, inputs)).words)],
    },
    {
      name: `${module}.scales`,
      shape: [groups, outputs],
      dtype: 'F16',
      chunks: () => [bytesOf(/** @type {NonNullable<typeof made>} */ (made).scales)],
    },
    {
      name: `${module}.qzeros`, // one less than the zero
      shape: [groups, outputs / 8],
      dtype: 'I32',
      chunks: () => [bytesOf(new Uint32Array((groups * outputs) / 8).fill(0x77777777))],
    },
  ];
}

const isLinear = (/** @type {string} */ name) => /\.layers\.\d+\..*_proj\.weight$/.test(name);

/** The checkpoint in bf16 of a folder, packed into another. @param {{ from: string, to: string, format: PackedFormat }} options */
export function writePackedModel({ from, to, format }) {
  const source = new Bf16File(join(from, 'model.safetensors'));
  try {
    const tensors = source.names().flatMap((name) =>
      isLinear(name)
        ? packedTensors({ source, name, format })
        : [
            {
              name,
              shape: source.shape(name),
              chunks: () => [
                bytesOf(
                  source.rows(name, 0, source.shape(name).length > 1 ? (source.shape(name)[0] ?? 0) : 1),
                ),
              ],
            },
          ],
    );
    mkdirSync(to, { recursive: true });
    writeSafetensors(join(to, 'model.safetensors'), tensors);
  } finally {
    source.close();
  }
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(from, file), join(to, file));
  const config = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8'));
  const packed = { ...config, quantization_config: QUANTIZATION_CONFIG[format] };
  // Last: it marks the folder complete.
  writeWhole(join(to, 'config.json'), (file) => file.write(Buffer.from(JSON.stringify(packed))));
}
