/**
 * The models that are measured: real shapes, random weights. Speed does not depend on weight values.
 * @typedef {object} Shape
 * @property {string} name
 * @property {number} hidden
 * @property {number} layers
 * @property {number} heads
 * @property {number} kvHeads
 * @property {number} headDim
 * @property {number} ffn
 * @property {number} vocabulary
 * @property {boolean} tied  the embedding is the output matrix too
 * @property {number} ropeTheta
 */

/** @type {readonly Shape[]} */
const ALL = [
  {
    name: 'tiny', // to see that everything runs; its times mean nothing
    hidden: 256,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
    ffn: 512,
    vocabulary: 2048,
    tied: false,
    ropeTheta: 10_000,
  },
  {
    name: '160m',
    hidden: 768,
    layers: 12,
    heads: 12,
    kvHeads: 4,
    headDim: 64,
    ffn: 2048,
    vocabulary: 32_000,
    tied: false,
    ropeTheta: 10_000,
  },
  {
    name: '1b', // Llama-3.2-1B's shape
    hidden: 2048,
    layers: 16,
    heads: 32,
    kvHeads: 8,
    headDim: 64,
    ffn: 8192,
    vocabulary: 128_256,
    tied: true,
    ropeTheta: 500_000,
  },
  {
    name: '8b', // Llama-3-8B's shape: for a GPU
    hidden: 4096,
    layers: 32,
    heads: 32,
    kvHeads: 8,
    headDim: 128,
    ffn: 14_336,
    vocabulary: 128_256,
    tied: false,
    ropeTheta: 500_000,
  },
];

export const SHAPE_NAMES = ALL.map(({ name }) => name);
export const MAX_POSITIONS = 4096;
export const NORM_EPSILON = 1e-5;

/** @param {string} name @returns {Shape} */
export function shapeOf(name) {
  const shape = ALL.find((one) => one.name === name);
  if (!shape) throw new Error(`--shape: expected one of ${SHAPE_NAMES.join(', ')}, got "${name}"`);
  return shape;
}

/**
 * One tensor of the checkpoint: normally distributed.
 * @typedef {{ name: string, shape: readonly number[], mean: number, deviation: number }} TensorSpec
 */

/** Each output of a matrix has about the variance of its inputs, as in a trained model (0.02 for 2048 inputs). */
const MATRIX_DEVIATION = 0.9;
/** Queries and keys are larger: attention is sharp, so tokens depend on the whole prompt and a wrong rotation shows. */
const QUERY_KEY_DEVIATION = 2;

/** @param {string} name @param {readonly number[]} shape @returns {TensorSpec} */
function matrix(name, shape) {
  const scale = /self_attn\.[qk]_proj/.test(name) ? QUERY_KEY_DEVIATION : MATRIX_DEVIATION;
  return { name, shape, mean: 0, deviation: scale / Math.sqrt(/** @type {number} */ (shape.at(-1))) };
}

/** @param {string} name @param {number} size @returns {TensorSpec} */
const gain = (name, size) => ({ name, shape: [size], mean: 1, deviation: 0.1 });

/** One linear map of a layer: `[outputs, inputs]`. @typedef {{ path: string, outputs: number, inputs: number }} LayerLinear */

/** The seven projections of a layer, as adapters see them. @param {Shape} shape @returns {LayerLinear[]} */
export function layerLinears({ hidden, heads, kvHeads, headDim, ffn }) {
  return [
    { path: 'self_attn.q_proj', outputs: heads * headDim, inputs: hidden },
    { path: 'self_attn.k_proj', outputs: kvHeads * headDim, inputs: hidden },
    { path: 'self_attn.v_proj', outputs: kvHeads * headDim, inputs: hidden },
    { path: 'self_attn.o_proj', outputs: hidden, inputs: heads * headDim },
    { path: 'mlp.gate_proj', outputs: ffn, inputs: hidden },
    { path: 'mlp.up_proj', outputs: ffn, inputs: hidden },
    { path: 'mlp.down_proj', outputs: hidden, inputs: ffn },
  ];
}

/**
 * Every tensor of the checkpoint in file order. Layers from `heard` on add nothing to what comes before them.
 * @param {Shape & { heard?: number }} shape @returns {TensorSpec[]}
 */
export function checkpointTensors(shape) {
  const { hidden, layers, vocabulary, tied, heard = layers } = shape;
  const tensors = [matrix('model.embed_tokens.weight', [vocabulary, hidden])];
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    tensors.push(gain(`${at}.input_layernorm.weight`, hidden));
    for (const { path, outputs, inputs } of layerLinears(shape)) {
      const tensor = matrix(`${at}.${path}.weight`, [outputs, inputs]);
      const adds = layer < heard || !/o_proj|down_proj/.test(path);
      tensors.push(adds ? tensor : { ...tensor, deviation: 0 });
    }
    tensors.push(gain(`${at}.post_attention_layernorm.weight`, hidden));
  }
  tensors.push(gain('model.norm.weight', hidden));
  if (!tied) tensors.push(matrix('lm_head.weight', [vocabulary, hidden]));
  return tensors;
}

/** @param {Shape} shape */
export function parameterCount(shape) {
  return checkpointTensors(shape).reduce((sum, { shape: dims }) => sum + elementCount(dims), 0);
}

/** @param {readonly number[]} dims */
export const elementCount = (dims) => dims.reduce((product, dim) => product * dim, 1);

/** config.json as Hugging Face writes it. @param {Shape} shape */
export function huggingFaceConfig(shape) {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: shape.hidden,
    intermediate_size: shape.ffn,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    hidden_act: 'silu',
    rms_norm_eps: NORM_EPSILON,
    rope_theta: shape.ropeTheta,
    max_position_embeddings: MAX_POSITIONS,
    vocab_size: shape.vocabulary,
    tie_word_embeddings: shape.tied,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: shape.vocabulary - 2,
    eos_token_id: shape.vocabulary - 1,
    torch_dtype: 'bfloat16',
  };
}
