import { resolve } from 'node:path';
import type { BaseModel } from '#contracts/base-model.js';
import type {
  AdapterDtype,
  CudaProbe,
  ModelDescription,
  ModelInspection,
  NativeModel,
  OpenOptions,
} from '#native-engine/native.js';
import type { AppError } from '#runtime/app-error.js';
import type { SettingsOf } from '#runtime/settings.js';
import { baseDigest, vocabularyDigests } from './base-digest.js';
import type { Heads, InspectNative } from './checkpoint/checkpoint.js';
import { checkCheckpoint, checkpointName, readCheckpoint } from './checkpoint/read-checkpoint.js';
import { chooseDevice, type DeviceChoice, fallsBack } from './device-choice.js';
import type { NamedTemplates } from './text/chat-template.js';
import { kvBudgetBytes, pageTokensOf } from './kv/kv-budget.js';
import type { Pooling } from './pooling.js';
import { availableMemoryBytes, physicalCores } from './machine.js';
import type { servingSettings } from './settings.js';
import { checkDraftModel, type DraftModel, openDraftModel } from './speculation/draft-model.js';
import { ModelError } from './model-error.js';
import { Tokenizer, type TokenizerSource } from './text/tokenizer.js';

export type ServingSettings = SettingsOf<typeof servingSettings>;

export interface OpenedModel {
  readonly native: NativeModel;
  /** Why DEVICE=auto took the CPU. */
  readonly deviceReason?: string | undefined;
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
  readonly inspectNative: InspectNative;
  readonly openNative: (options: OpenOptions) => Promise<NativeModel>;
  readonly probeCuda: (device: number) => CudaProbe;
  /** Where content hashes of the checkpoint's files are kept between starts. */
  readonly digestCachePath: string | undefined;
}

/** Reads the checkpoint's files and opens it in native. */
export async function openModel(opening: OpeningOptions): Promise<OpenedModel> {
  const { settings, digestCachePath } = opening;
  const modelPath = resolve(settings.modelPath);
  await checkCheckpoint('MODEL_PATH', modelPath);
  const checkpoint = await readCheckpoint(modelPath, opening.inspectNative);
  const { templates, pooling, heads } = checkpoint;
  const tokenizer = tokenizerOf(modelPath, checkpoint.tokenizer);
  const { options, native, deviceReason } = await openOnDevice(opening, modelPath, checkpoint.inspection);
  try {
    const { description } = native;
    const eosTokenIds = allEosTokenIds(checkpoint.eosTokenIds, description, tokenizer);
    const digest = await baseDigest(modelPath, digestCachePath);
    const vocabulary = await vocabularyDigests(description.vocabularyWeights, digestCachePath);
    const base = describeBase({ settings, modelPath, description, digest, vocabulary, tokenizer, heads });
    const own = { tokenizer, tokenizerJson: checkpoint.tokenizer.json };
    const draft = await openDraftModel({ ...opening, ...own, options, description });
    return { native, deviceReason, base, tokenizer, templates, eosTokenIds, pooling, draft };
  } catch (error) {
    await native.close();
    throw error;
  }
}

interface OpenedNative {
  readonly options: OpenOptions;
  readonly native: NativeModel;
  readonly deviceReason: string | undefined;
}

/** On the device of the setting; what `auto` cannot open on a GPU it opens on the CPU. */
async function openOnDevice(
  { settings, openNative, probeCuda }: OpeningOptions,
  modelPath: string,
  inspection: ModelInspection,
): Promise<OpenedNative> {
  const open = async (choice: DeviceChoice): Promise<OpenedNative> => {
    const options = nativeOptions(settings, modelPath, { inspection, choice });
    return { options, native: await openNative(options), deviceReason: choice.reason };
  };
  const choice = chooseDevice(settings.device, probeCuda);
  try {
    return await open(choice);
  } catch (error) {
    if (!fallsBack(settings.device, choice, error)) throw error;
    return await open({ backend: 'cpu', reason: error instanceof Error ? error.message : String(error) });
  }
}

/**
 * Fails as `openModel` would, as far as that can be told without reading weights: within a moment, whatever their size.
 */
export async function checkModel(
  settings: ServingSettings,
  { inspectNative, probeCuda }: Pick<OpeningOptions, 'inspectNative' | 'probeCuda'>,
): Promise<void> {
  const modelPath = resolve(settings.modelPath);
  await checkCheckpoint('MODEL_PATH', modelPath);
  const choice = chooseDevice(settings.device, probeCuda);
  nativeOptions(settings, modelPath, {
    inspection: (await readCheckpoint(modelPath, inspectNative)).inspection,
    choice,
  });
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
  { inspection, choice }: { readonly inspection: ModelInspection; readonly choice: DeviceChoice },
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
    availableBytes: choice.freeBytes ?? availableMemoryBytes(),
  });
  return {
    modelPath,
    backend: choice.backend,
    ...(choice.device !== undefined && {
      device: choice.device,
      deadline_ms: settings.stepDeadline_s * 1000,
    }),
    threads: settings.threads ?? physicalCores(),
    quantization: settings.quantization,
    adapterDtype: adapterDtype(settings),
    extraTokens: settings.adapterExtraTokens,
    maxStepTokens: settings.maxStepTokens,
    maxSequences: Math.min(settings.maxSequences, settings.maxStepTokens),
    kv: { bytes, pageTokens: pageTokensOf(inspection, dtype), dtype },
  };
}

/** Every token that may end a generation: the network's, those of the checkpoint's other files, and the tokenizer's own. */
function allEosTokenIds(
  ofCheckpoint: readonly number[],
  description: ModelDescription,
  tokenizer: Tokenizer,
): number[] {
  const named = tokenizer.specialTokens.eos_token;
  const ofTokenizer = named === undefined ? undefined : tokenizer.idOf(named);
  const ids = [...description.eosTokenIds, ...ofCheckpoint];
  if (ofTokenizer !== undefined) ids.push(ofTokenizer);
  return [...new Set(ids)].filter((id) => id >= 0 && id < description.vocabSize);
}

interface BaseFacts {
  readonly settings: ServingSettings;
  readonly modelPath: string;
  readonly description: ModelDescription;
  readonly digest: string;
  readonly vocabulary: BaseModel['vocabularyWeights'];
  readonly tokenizer: Tokenizer;
  readonly heads: Heads;
}

function describeBase(facts: BaseFacts): BaseModel {
  const { settings, modelPath, description, digest, vocabulary, tokenizer, heads } = facts;
  const { architecture, hiddenSize, numLayers, vocabSize, tieWordEmbeddings, maxPositions } = description;
  const kvTokens = description.kvPages * description.kvPageTokens;
  const maxContext = Math.min(settings.maxContext ?? maxPositions, maxPositions, kvTokens);
  if (maxContext < 2) throw new ModelError('KV_CACHE_BYTES: the cache is too small for a single page');
  return {
    name: settings.modelName ?? checkpointName(modelPath),
    knownAs: [checkpointName(modelPath)],
    digest,
    architecture,
    hiddenSize,
    numLayers,
    vocabSize,
    ...(description.extraTokens !== undefined && { extraTokens: description.extraTokens }),
    tokenizerSize: tokenizer.size,
    ...heads,
    maxContext,
    tieWordEmbeddings,
    quantization: description.quantization,
    modules: [...description.modules],
    ...(description.experts.length > 0 && { experts: [...description.experts] }),
    ...(description.unreadModules.length > 0 && { unreadModules: [...description.unreadModules] }),
    ...(vocabulary && vocabulary.length > 0 && { vocabularyWeights: vocabulary }),
    specialTokens: { ...tokenizer.specialTokens },
    longestToken: tokenizer.longestToken,
  };
}

function tokenizerOf(modelPath: string, source: TokenizerSource): Tokenizer {
  try {
    return Tokenizer.of(source);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new ModelError(`${modelPath}: the tokenizer cannot be used: ${message}`, { cause });
  }
}
