// Writes the measured models and adapters, once. Also by itself: node bench/models/generate.mjs 160m [q4_0 ...]
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inRepository } from '../../scripts/lib/paths.mjs';
import { say, step } from '../../scripts/lib/print.mjs';
import { syntheticVocabulary, tokenizerJson } from './byte-level-bpe.mjs';
import { GGML_TYPES } from './ggml-types.mjs';
import { writeGgufAdapter, writeGgufModel } from './gguf-model.mjs';
import { writePackedModel } from './packed-model.mjs';
import { normalTable, randomBf16 } from './random-weights.mjs';
import { checkpointTensors, elementCount, huggingFaceConfig, layerLinears, shapeOf } from './shapes.mjs';
import { writeSafetensors, writeWhole } from './tensor-file.mjs';

/** @typedef {import('./shapes.mjs').Shape} Shape */
/** @typedef {import('./ggml-types.mjs').GgmlType} GgmlType */
/** @typedef {import('./packed-model.mjs').PackedFormat} PackedFormat */

/** Raised when what is written changes: then the old files are not used again. */
const GENERATION = 1;
const SEED = `lorikeet-bench-${GENERATION}`;
/** With ALPHA_PER_RANK: an adapter changes each projection's output by about a third of its size. */
const ADAPTER_B_DEVIATION = 0.15;
const ALPHA_PER_RANK = 2;
export const RANK_SETS = /** @type {Readonly<Record<string, readonly number[]>>} */ ({
  r8: [8],
  r16: [16],
  r64: [64],
  mixed: [8, 16, 32, 64],
});

/** @param {Shape} shape @param {...string} parts */
const cached = (shape, ...parts) =>
  inRepository('build', 'bench-models', `v${GENERATION}`, shape.name, ...parts);

/** @param {string} path @param {object} value */
const writeJson = (path, value) => writeWhole(path, (file) => file.write(Buffer.from(JSON.stringify(value))));

/** @type {Map<string, Uint16Array>} */
const tables = new Map();

/** @param {number} mean @param {number} deviation */
function tableOf(mean, deviation) {
  const key = `${mean} ${deviation}`;
  const table = tables.get(key) ?? normalTable(mean, deviation);
  tables.set(key, table);
  return table;
}

/** The checkpoint folder; config.json comes last and marks it complete. @param {Shape} shape */
export async function ensureModel(shape) {
  return ensureCheckpoint(cached(shape, 'model'), shape, SEED);
}

/** Layers of the draft models. */
const DRAFT_LAYERS = 1;

/**
 * A model whose layers behind the first ones add nothing (they take as long as others), a draft model of those first ones,
 * which therefore says what the model says, and one of other weights.
 * @param {Shape} shape
 */
export async function ensureDrafts(shape) {
  const draft = { ...shape, layers: Math.min(DRAFT_LAYERS, shape.layers - 1) };
  return {
    model: await ensureCheckpoint(cached(shape, 'drafted-model'), { ...shape, heard: draft.layers }, SEED),
    right: await ensureCheckpoint(cached(shape, 'right-draft'), draft, SEED),
    wrong: await ensureCheckpoint(cached(shape, 'wrong-draft'), draft, `${SEED}-wrong`),
  };
}

/** @param {string} folder @param {Shape & { heard?: number }} shape @param {string} seed */
async function ensureCheckpoint(folder, shape, seed) {
  if (existsSync(join(folder, 'config.json'))) return folder;
  await step(`writing random weights in the shape ${shape.name}, ${shape.layers} layers`, async () => {
    writeSafetensors(
      join(folder, 'model.safetensors'),
      checkpointTensors(shape).map(({ name, shape: dims, mean, deviation }) => ({
        name,
        shape: dims,
        chunks: () => randomBf16({ seed, name, count: elementCount(dims), table: tableOf(mean, deviation) }),
      })),
    );
    const vocabulary = syntheticVocabulary(shape.vocabulary);
    writeJson(join(folder, 'tokenizer.json'), tokenizerJson(vocabulary));
    writeJson(join(folder, 'tokenizer_config.json'), {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: vocabulary.bos,
      eos_token: vocabulary.eos,
    });
    writeJson(join(folder, 'config.json'), huggingFaceConfig(shape));
  });
  return folder;
}

/** @typedef {{ name: string, folder: string, rank: number, alpha: number }} BenchAdapter */

/**
 * Adapters 0 to count - 1 of a rank set, on all seven projections of all layers.
 * @param {Shape} shape
 * @param {string} rankSet
 * @param {number} count
 * @returns {Promise<BenchAdapter[]>}
 */
export async function ensureAdapters(shape, rankSet, count) {
  const ranks = RANK_SETS[rankSet];
  if (!ranks)
    throw new Error(`--ranks: expected one of ${Object.keys(RANK_SETS).join(', ')}, got "${rankSet}"`);
  const adapters = Array.from({ length: count }, (_, index) => {
    const rank = /** @type {number} */ (ranks[index % ranks.length]);
    const name = `${rankSet}-${String(index).padStart(3, '0')}`;
    return { name, folder: cached(shape, 'adapters', name), rank, alpha: rank * ALPHA_PER_RANK };
  });
  const missing = adapters.filter(({ folder }) => !existsSync(join(folder, 'adapter_config.json')));
  if (missing.length > 0) {
    await step(`writing ${missing.length} adapters (${rankSet}) for ${shape.name}`, async () => {
      for (const adapter of missing) writeAdapter(shape, adapter);
    });
  }
  return adapters;
}

/** @param {Shape} shape @param {BenchAdapter} adapter */
function writeAdapter(shape, { name: adapterName, folder, rank, alpha }) {
  const tensors = [];
  for (let layer = 0; layer < shape.layers; layer++) {
    for (const { path, outputs, inputs } of layerLinears(shape)) {
      const at = `base_model.model.model.layers.${layer}.${path}`;
      for (const [side, dims, deviation] of /** @type {const} */ ([
        ['A', [rank, inputs], 1 / Math.sqrt(inputs)],
        ['B', [outputs, rank], ADAPTER_B_DEVIATION / Math.sqrt(rank)],
      ])) {
        const name = `${at}.lora_${side}.weight`;
        const seed = `${SEED}/${adapterName}`;
        tensors.push({
          name,
          shape: dims,
          chunks: () => randomBf16({ seed, name, count: elementCount(dims), table: tableOf(0, deviation) }),
        });
      }
    }
  }
  writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors);
  writeJson(join(folder, 'adapter_config.json'), {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: shape.name,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: 'none',
    target_modules: layerLinears(shape).map(({ path }) => path.split('.').at(-1)),
    inference_mode: true,
  });
}

/** The same weights for llama.cpp. @param {Shape} shape @param {GgmlType} type */
export async function ensureGguf(shape, type) {
  const path = cached(shape, 'gguf', `model-${type}.gguf`);
  if (existsSync(path)) return path;
  const model = await ensureModel(shape);
  await step(`writing ${shape.name} as GGUF ${type}`, async () =>
    writeGgufModel({ shape, checkpoint: join(model, 'model.safetensors'), path, type }),
  );
  return path;
}

/** The same weights as another tool packs them. @param {Shape} shape @param {PackedFormat} format */
export async function ensurePacked(shape, format) {
  const folder = cached(shape, `packed-${format}`);
  if (existsSync(join(folder, 'config.json'))) return folder;
  const model = await ensureModel(shape);
  await step(`packing ${shape.name} as ${format}`, async () =>
    writePackedModel({ from: model, to: folder, format }),
  );
  return folder;
}

/** @param {Shape} shape @param {readonly BenchAdapter[]} adapters @param {GgmlType} type */
export async function ensureGgufAdapters(shape, adapters, type) {
  return adapters.map(({ name, folder, alpha }) => {
    const path = cached(shape, 'gguf', `adapter-${name}-${type}.gguf`);
    const weights = join(folder, 'adapter_model.safetensors');
    if (!existsSync(path)) writeGgufAdapter({ shape, weights, alpha, path, type });
    return path;
  });
}

/** What was measured, in short: changes when any weight does. @param {string} modelFolder */
export function modelIdentity(modelFolder) {
  return createHash('sha256')
    .update(SEED)
    .update(readFileSync(join(modelFolder, 'config.json')))
    .digest('hex')
    .slice(0, 16);
}

if (process.argv[1] === import.meta.filename) {
  const [shapeName = 'tiny', ...types] = process.argv.slice(2);
  const shape = shapeOf(shapeName);
  const wrong = types.find((type) => !GGML_TYPES.includes(/** @type {GgmlType} */ (type)));
  if (wrong !== undefined) throw new Error(`expected one of ${GGML_TYPES.join(', ')}, got "${wrong}"`);
  say(await ensureModel(shape));
  for (const type of types) say(await ensureGguf(shape, /** @type {GgmlType} */ (type)));
}
