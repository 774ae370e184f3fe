import { resolve } from 'node:path';
import type { ModelDescription, ModelInspection, NativeModel, OpenOptions } from '#native-engine/native.js';
import type { InspectNative, Checkpoint } from '../checkpoint/checkpoint.js';
import { checkCheckpoint, checkpointName, readCheckpoint } from '../checkpoint/read-checkpoint.js';
import { pageBytesOf } from '../kv/kv-budget.js';
import { availableMemoryBytes } from '../machine.js';
import { ModelError } from '../model-error.js';
import { Tokenizer, type TokenizerSource } from '../text/tokenizer.js';
import type { SpeculationSetting } from './wanted-drafts.js';

/** A smaller model of the same tokenizer, without adapters. */
export interface DraftModel {
  readonly name: string;
  readonly native: NativeModel;
}

interface DraftSettings {
  readonly draftModelPath: string | undefined;
  readonly draftKvCacheBytes: number | undefined;
  readonly speculation: SpeculationSetting;
}

export interface DraftOpening {
  readonly settings: DraftSettings;
  readonly inspectNative: InspectNative;
  readonly openNative: (options: OpenOptions) => Promise<NativeModel>;
  /** Of the model that it drafts for. */
  readonly tokenizer: Tokenizer;
  readonly tokenizerJson: string;
  readonly options: OpenOptions;
  readonly description: ModelDescription;
}

/** Share of the free memory that its cache takes at most by itself. */
const SHARE_OF_FREE_MEMORY = 0.25;

/** Opens the draft model beside the model, if there is to be one. Rejects with a ModelError that names the setting. */
export async function openDraftModel(opening: DraftOpening): Promise<DraftModel | undefined> {
  const { settings, options, description } = opening;
  const path = draftPath(settings);
  if (path === undefined) return undefined;
  await checkCheckpoint('DRAFT_MODEL_PATH', path);
  const checkpoint = await readDraft(path, opening.inspectNative);
  checkTokenizer(path, checkpoint, opening);
  const { inspection } = checkpoint;
  const { adapterDtype: _, ...same } = options;
  const bytes = settings.draftKvCacheBytes ?? kvBytes(inspection, options, description.kvPages);
  const native = await opening.openNative({ ...same, modelPath: path, kv: { ...options.kv, bytes } });
  const { vocabSize } = native.description;
  if (vocabSize < opening.tokenizer.size) {
    await native.close();
    throw new ModelError(
      `DRAFT_MODEL_PATH: ${path} knows ${vocabSize} tokens, of ${opening.tokenizer.size} of its tokenizer`,
    );
  }
  return { name: checkpointName(path), native };
}

/** Fails as `openDraftModel` would, as far as that can be told within a moment. */
export async function checkDraftModel(
  settings: DraftSettings,
  inspectNative: DraftOpening['inspectNative'],
): Promise<void> {
  const path = draftPath(settings);
  if (path === undefined) return;
  await checkCheckpoint('DRAFT_MODEL_PATH', path);
  await readDraft(path, inspectNative);
}

function draftPath({ draftModelPath, speculation }: DraftSettings): string | undefined {
  if (draftModelPath !== undefined) return resolve(draftModelPath);
  if (speculation === 'draft') throw new ModelError('SPECULATION: draft needs a DRAFT_MODEL_PATH');
  return undefined;
}

/** As many tokens as the model's own cache has, where memory allows it. */
function kvBytes(inspection: ModelInspection, { kv }: OpenOptions, pages: number): number {
  const pageBytes = pageBytesOf(inspection, kv.dtype, kv.pageTokens);
  const share = Math.floor(availableMemoryBytes() * SHARE_OF_FREE_MEMORY);
  return Math.max(pageBytes, Math.min(pages * pageBytes, share));
}

async function readDraft(path: string, inspectNative: InspectNative): Promise<Checkpoint> {
  return readCheckpoint(path, inspectNative).catch((cause: unknown) => {
    throw cause instanceof ModelError
      ? new ModelError(`DRAFT_MODEL_PATH: ${cause.message}`, { cause })
      : cause;
  });
}

/** Each token has to be the same text: how a text becomes tokens is the model's own affair. */
function checkTokenizer(
  path: string,
  { tokenizer: source }: Checkpoint,
  { tokenizer, tokenizerJson }: DraftOpening,
): void {
  if (source.json === tokenizerJson) return;
  const drafts = draftTokenizer(path, source);
  const id = firstDifference(tokenizer, drafts);
  if (id === undefined) return;
  const named = [drafts, tokenizer].map((one) => JSON.stringify(one.nameOf(id)));
  throw new ModelError(
    `DRAFT_MODEL_PATH: ${path} has another tokenizer than the model: token ${id} is ${named[0]} there and ${named[1]} here`,
  );
}

function draftTokenizer(path: string, source: TokenizerSource): Tokenizer {
  try {
    return Tokenizer.of(source);
  } catch (cause) {
    throw new ModelError(`DRAFT_MODEL_PATH: the tokenizer of ${path} cannot be used`, { cause });
  }
}

function firstDifference(one: Tokenizer, other: Tokenizer): number | undefined {
  const size = Math.max(one.size, other.size);
  for (let id = 0; id < size; id++) if (one.nameOf(id) !== other.nameOf(id)) return id;
  return undefined;
}
