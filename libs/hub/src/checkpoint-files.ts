import { HubError } from './hub-error.js';
import type { HubFile } from './hub-client.js';
import { isPlainPath } from './hub-reference.js';

/** A file of a checkpoint with its place in the folder that it is pulled into. */
export interface CheckpointFile extends HubFile {
  readonly target: string;
}

export const INDEX_FILE = 'model.safetensors.index.json';
const CONFIG_FILE = 'config.json';
/** Beside the weights: what an engine reads, and what says whose model it is. */
const BESIDE =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|quantize_config|quantization_config|hf_quant_config|params|chat_template)\.json$|^(tokenizer\.model|merges\.txt|chat_template\.jinja|README\.md|LICENSE(\..*)?|NOTICE(\..*)?)$|^(additional_chat_templates|1_Pooling)\/[^/]+$|^modules\.json$/;

/** The files of a checkpoint in a folder of the repository, or the one file that is named. `shards`: what the index lists, once it is known; where there is an index, weights come only then. */
export function checkpointFiles(
  files: readonly HubFile[],
  folder: string,
  shards?: readonly string[],
): CheckpointFile[] {
  const named = files.find(({ path }) => path === folder);
  if (named) return [{ ...named, target: baseName(named.path) }];
  const prefix = folder === '' ? '' : `${folder}/`;
  const inFolder = files
    .filter(({ path }) => path.startsWith(prefix) && isPlainPath(path))
    .map((file) => ({ ...file, target: file.path.slice(prefix.length) }));
  const has = (name: string): boolean => inFolder.some(({ target }) => target === name);
  const where = folder === '' ? 'The repository' : `${folder} of the repository`;
  if (!has(CONFIG_FILE)) throw new HubError(`${where} has no ${CONFIG_FILE}${hintAt(inFolder)}`);
  const indexed = shards === undefined && has(INDEX_FILE);
  const weights = indexed ? [] : weightsOf(inFolder, shards);
  const missing = shards?.find((name) => !has(name));
  if (missing !== undefined) throw new HubError(`${where} has no ${missing}, which its index lists.`);
  if (weights.length === 0 && !indexed)
    throw new HubError(`${where} has no weights in *.safetensors${hintAt(inFolder)}`);
  return [...inFolder.filter(({ target }) => BESIDE.test(target) || target === INDEX_FILE), ...weights];
}

/** Some repositories hold the same weights a second time under other names. */
function weightsOf(
  files: readonly CheckpointFile[],
  shards: readonly string[] | undefined,
): CheckpointFile[] {
  if (shards) return files.filter(({ target }) => shards.includes(target));
  const single = files.filter(({ target }) => target === 'model.safetensors');
  return single.length > 0 ? single : files.filter(({ target }) => /^[^/]+\.safetensors$/.test(target));
}

function hintAt(files: readonly CheckpointFile[]): string {
  const gguf = files.filter(({ target }) => target.endsWith('.gguf'));
  if (gguf.length > 0) return `; name one of its GGUF files, e.g. hf://org/repo/${gguf[0]?.target}.`;
  const pickle = files.some(({ target }) => /\.(bin|pt|pth|ckpt)$/.test(target));
  return pickle ? '; pickles are never read.' : '.';
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The names of the files that an index lists. Throws HubError. */
export function shardsOf(text: string): string[] {
  let map: unknown;
  try {
    map = (JSON.parse(text) as { weight_map?: unknown }).weight_map;
  } catch {
    map = undefined;
  }
  const names = typeof map === 'object' && map !== null ? [...new Set(Object.values(map))] : [];
  if (names.length === 0 || !names.every((name) => typeof name === 'string' && isPlainPath(name)))
    throw new HubError(`${INDEX_FILE} is no index of a checkpoint.`);
  return names as string[];
}
