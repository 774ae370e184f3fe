import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { ModelDescription, ModelInspection, NativeModel, OpenOptions } from '#native-engine/native.js';
import { checkFolder } from '../checkpoint-folder.js';
import { PAGE_TOKENS } from '../kv/kv-budget.js';
import { availableMemoryBytes } from '../machine.js';
import { ModelError } from '../model-error.js';
import { Tokenizer } from '../text/tokenizer.js';
import type { SpeculationSetting } from './wanted-drafts.js';

/** A smaller model of the same tokenizer, without adapters. */
export interface DraftModel {
  readonly name: string;
  readonly native: NativeModel;
}

interface DraftSettings {
  readonly draftModelPath: string | undefined;
  readonly draftKvCacheBytes: number | undefined;
  readonly modelPath: string;
  readonly speculation: SpeculationSetting;
}

export interface DraftOpening {
  readonly settings: DraftSettings;
  readonly inspectNative: (modelPath: string) => ModelInspection;
  readonly openNative: (options: OpenOptions) => Promise<NativeModel>;
  /** Of the model that it drafts for. */
  readonly tokenizer: Tokenizer;
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
  await checkFolder('DRAFT_MODEL_PATH', path);
  await checkTokenizer(path, opening);
  const inspection = opening.inspectNative(path);
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
  return { name: basename(path), native };
}

/** Fails as `openDraftModel` would, as far as that can be told within a moment. */
export async function checkDraftModel(
  settings: DraftSettings,
  inspectNative: DraftOpening['inspectNative'],
): Promise<void> {
  const path = draftPath(settings);
  if (path === undefined) return;
  await checkFolder('DRAFT_MODEL_PATH', path);
  inspectNative(path);
}

function draftPath({ draftModelPath, speculation }: DraftSettings): string | undefined {
  if (draftModelPath !== undefined) return resolve(draftModelPath);
  if (speculation === 'draft') throw new ModelError('SPECULATION: draft needs a DRAFT_MODEL_PATH');
  return undefined;
}

/** As many tokens as the model's own cache has, where memory allows it. */
function kvBytes(inspection: ModelInspection, { kv }: OpenOptions, pages: number): number {
  const pageBytes = PAGE_TOKENS * inspection.kvTokenBytes[kv.dtype];
  const share = Math.floor(availableMemoryBytes() * SHARE_OF_FREE_MEMORY);
  return Math.max(pageBytes, Math.min(pages * pageBytes, share));
}

/** Each token has to be the same text: how a text becomes tokens is the model's own affair. */
async function checkTokenizer(path: string, { settings, tokenizer }: DraftOpening): Promise<void> {
  const fileOf = (folder: string) => readFile(join(folder, 'tokenizer.json'));
  const [own, other] = await Promise.all([fileOf(settings.modelPath), fileOf(path)]);
  if (own.equals(other)) return;
  const drafts = await Tokenizer.load(path).catch((cause: unknown) => {
    throw new ModelError(`DRAFT_MODEL_PATH: the tokenizer of ${path} cannot be used`, { cause });
  });
  const id = firstDifference(tokenizer, drafts);
  if (id === undefined) return;
  const named = [drafts, tokenizer].map((one) => JSON.stringify(one.nameOf(id)));
  throw new ModelError(
    `DRAFT_MODEL_PATH: ${path} has another tokenizer than the model: token ${id} is ${named[0]} there and ${named[1]} here`,
  );
}

function firstDifference(one: Tokenizer, other: Tokenizer): number | undefined {
  const size = Math.max(one.size, other.size);
  for (let id = 0; id < size; id++) if (one.nameOf(id) !== other.nameOf(id)) return id;
  return undefined;
}
