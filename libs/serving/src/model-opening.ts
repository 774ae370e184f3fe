import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import type { BaseModel } from '#contracts/base-model.js';
import type {
  AdapterDtype,
  ModelDescription,
  ModelInspection,
  NativeModel,
  OpenOptions,
} from '#native-engine/native.js';
import type { AppError } from '#runtime/app-error.js';
import type { SettingsOf } from '#runtime/settings.js';
import { checkFolder } from './checkpoint-folder.js';
import { baseDigest } from './base-digest.js';
import { type NamedTemplates, readTemplates } from './text/chat-template.js';
import { kvBudgetBytes, PAGE_TOKENS } from './kv/kv-budget.js';
import { type Pooling, readPooling } from './pooling.js';
import { availableMemoryBytes, physicalCores } from './machine.js';
import type { servingSettings } from './settings.js';
import { checkDraftModel, type DraftModel, openDraftModel } from './speculation/draft-model.js';
import { ModelError } from './model-error.js';
import { readJsonIfThere, Tokenizer } from './text/tokenizer.js';

export type ServingSettings = SettingsOf<typeof servingSettings>;

export interface OpenedModel {
  readonly native: NativeModel;
  readonly base: BaseModel;
  readonly tokenizer: Tokenizer;
  readonly templates: NamedTemplates;
  readonly eosTokenIds: readonly number[];
  /** Guesses tokens ahead; undefined: none does. */
  readonly draft?: DraftModel | undefined;
  /** How texts become vectors; an error: why they do not. */
  readonly pooling: Pooling | AppError;
}

export interface OpeningOptions {
  readonly settings: ServingSettings;
  readonly inspectNative: (modelPath: string) => ModelInspection;
  readonly openNative: (options: OpenOptions) => Promise<NativeModel>;
  /** Where content hashes of the checkpoint's files are kept between starts. */
  readonly digestCachePath: string | undefined;
}

/** Reads the checkpoint's files and opens it in native. */
export async function openModel({
  settings,
  inspectNative,
  openNative,
  digestCachePath,
}: OpeningOptions): Promise<OpenedModel> {
  const modelPath = resolve(settings.modelPath);
  await checkFolder('MODEL_PATH', modelPath);
  const tokenizer = await Tokenizer.load(modelPath).catch((cause: unknown) => {
    throw new ModelError(`${modelPath}: the tokenizer cannot be used: ${messageOf(cause)}`, { cause });
  });
  const options = nativeOptions(settings, modelPath, inspectNative(modelPath));
  const native = await openNative(options);
  try {
    const [digest, templates, eosTokenIds, pooling] = await Promise.all([
      baseDigest(modelPath, digestCachePath),
      readTemplates(modelPath),
      readEosTokenIds(modelPath, native.description, tokenizer),
      readPooling(modelPath),
    ]);
    const description = native.description;
    const heads = await readHeads(modelPath);
    const base = describeBase({ settings, modelPath, description, digest, tokenizer, heads });
    const opening = { settings, inspectNative, openNative };
    const draft = await openDraftModel({ ...opening, tokenizer, options, description: native.description });
    return { native, base, tokenizer, templates, eosTokenIds, pooling, draft };
  } catch (error) {
    await native.close();
    throw error;
  }
}

/**
 * Fails as `openModel` would, as far as that can be told without reading weights: within a moment, whatever their size.
 */
export async function checkModel(
  settings: ServingSettings,
  inspectNative: OpeningOptions['inspectNative'],
): Promise<void> {
  const modelPath = resolve(settings.modelPath);
  await checkFolder('MODEL_PATH', modelPath);
  nativeOptions(settings, modelPath, inspectNative(modelPath));
  await checkDraftModel(settings, inspectNative);
}

/** `auto` keeps float32 beside weights as in the checkpoint; quantized ones round far more than bfloat16 does. */
export function kvDtype({
  kvCacheDtype,
  quantization,
}: Pick<ServingSettings, 'kvCacheDtype' | 'quantization'>): OpenOptions['kv']['dtype'] {
  if (kvCacheDtype !== 'auto') return kvCacheDtype;
  return quantization === 'none' ? 'f32' : 'bf16';
}

/** `auto` keeps what the file has beside weights as in the checkpoint; beside quantized ones, bfloat16 loses nothing that shows. */
export function adapterDtype({
  adapterDtype: wanted,
  quantization,
}: Pick<ServingSettings, 'adapterDtype' | 'quantization'>): AdapterDtype {
  if (wanted !== 'auto') return wanted;
  return quantization === 'none' ? 'stored' : 'bf16';
}

function nativeOptions(
  settings: ServingSettings,
  modelPath: string,
  inspection: ModelInspection,
): OpenOptions {
  const dtype = kvDtype(settings);
  const { maxPositions } = inspection;
  if (settings.maxContext !== undefined && settings.maxContext > maxPositions) {
    throw new ModelError(
      `MAX_CONTEXT: ${settings.maxContext} is more than the model's ${maxPositions} positions`,
    );
  }
  const bytes = kvBudgetBytes({
    inspection,
    dtype,
    wantedBytes: settings.kvCacheBytes,
    maxContext: settings.maxContext,
    maxSequences: settings.maxSequences,
    availableBytes: availableMemoryBytes(),
  });
  return {
    modelPath,
    backend: 'cpu',
    threads: settings.threads ?? physicalCores(),
    quantization: settings.quantization,
    adapterDtype: adapterDtype(settings),
    maxStepTokens: settings.maxStepTokens,
    maxSequences: Math.min(settings.maxSequences, settings.maxStepTokens),
    kv: { bytes, pageTokens: PAGE_TOKENS, dtype },
  };
}

const GenerationConfigSchema = z.looseObject({
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
});

/** Every token that may end a generation: config.json's, generation_config.json's, and the tokenizer's own. */
async function readEosTokenIds(
  modelPath: string,
  description: ModelDescription,
  tokenizer: Tokenizer,
): Promise<number[]> {
  const file = (await readJsonIfThere(join(modelPath, 'generation_config.json'))) ?? {};
  const generation = GenerationConfigSchema.parse(file).eos_token_id ?? [];
  const named = tokenizer.specialTokens.eos_token;
  const ofTokenizer = named === undefined ? undefined : tokenizer.idOf(named);
  const ids = [...description.eosTokenIds, ...[generation].flat()];
  if (ofTokenizer !== undefined) ids.push(ofTokenizer);
  return [...new Set(ids)].filter((id) => id >= 0 && id < description.vocabSize);
}

interface BaseFacts {
  readonly settings: ServingSettings;
  readonly modelPath: string;
  readonly description: ModelDescription;
  readonly digest: string;
  readonly tokenizer: Tokenizer;
  readonly heads: Pick<BaseModel, 'heads' | 'keyHeads'>;
}

/** What config.json says of the attention's heads; nothing where it has another form. */
async function readHeads(modelPath: string): Promise<BaseFacts['heads']> {
  const config: Record<string, unknown> = {
    ...((await readJsonIfThere(join(modelPath, 'config.json'))) as object | undefined),
  };
  const { num_attention_heads: heads, num_key_value_heads: keyHeads } = {
    ...config,
    ...(config.text_config as object | undefined),
  } as Record<string, unknown>;
  if (typeof heads !== 'number') return {};
  return { heads, keyHeads: typeof keyHeads === 'number' ? keyHeads : heads };
}

function describeBase({ settings, modelPath, description, digest, tokenizer, heads }: BaseFacts): BaseModel {
  const { architecture, hiddenSize, numLayers, vocabSize, tieWordEmbeddings, maxPositions } = description;
  const kvTokens = description.kvPages * PAGE_TOKENS;
  const maxContext = Math.min(settings.maxContext ?? maxPositions, maxPositions, kvTokens);
  if (maxContext < 2) throw new ModelError('KV_CACHE_BYTES: the cache is too small for a single page');
  return {
    name: settings.modelName ?? basename(modelPath),
    knownAs: [basename(modelPath)],
    digest,
    architecture,
    hiddenSize,
    numLayers,
    vocabSize,
    ...heads,
    maxContext,
    tieWordEmbeddings,
    quantization: description.quantization,
    modules: [...description.modules],
    specialTokens: { ...tokenizer.specialTokens },
    longestToken: tokenizer.longestToken,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
