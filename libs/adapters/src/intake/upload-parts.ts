import { UploadMetadataSchema, type UploadMetadata } from '#contracts/adapters-api.js';
import { AppError } from '#runtime/app-error.js';
import { IS_PICKLE } from '../peft/file-kinds.js';

const MIB = 2 ** 20;

export const CONFIG_FILE = 'adapter_config.json';
export const WEIGHTS_FILE = 'adapter_model.safetensors';
export const TEMPLATE_FILE = 'chat_template.jinja';
export const TOKENIZER_CONFIG_FILE = 'tokenizer_config.json';
/** Of the three, what says which tokens the adapter's tokenizer has beside the base's. */
export const TOKENIZER_FILE = 'tokenizer.json';
export const ADDED_TOKENS_FILE = 'added_tokens.json';
export const GENERATION_FILE = 'generation_config.json';
/** The weights under MLX-LM's name. */
export const MLX_WEIGHTS_FILE = 'adapters.safetensors';
export const METADATA_PART = 'metadata';

/** The files that an upload may carry, and how large each may be; undefined: the setting for weights. */
const LIMIT_BYTES: Readonly<Record<string, number | undefined>> = {
  [CONFIG_FILE]: 4 * MIB,
  [WEIGHTS_FILE]: undefined,
  [MLX_WEIGHTS_FILE]: undefined,
  [TEMPLATE_FILE]: MIB,
  [TOKENIZER_CONFIG_FILE]: 16 * MIB,
  [TOKENIZER_FILE]: 64 * MIB,
  [ADDED_TOKENS_FILE]: 4 * MIB,
  [GENERATION_FILE]: MIB,
  'README.md': 4 * MIB,
};
export const FILE_NAMES = Object.keys(LIMIT_BYTES);
export const METADATA_LIMIT_BYTES = MIB / 16;
/** Names of files that are left out, as they are kept. */
export const MAX_LEFT_OUT = 100;

export interface PartHead {
  /** The form field. */
  readonly field: string;
  /** Absent: a plain field. */
  readonly fileName: string | undefined;
}

/** What a part is: one of the files, `metadata`, or another file, which is left out. Throws invalid_request for a field. */
export function kindOfPart({ field, fileName }: PartHead): string {
  const name = fileName ?? field;
  if (name === METADATA_PART || name === `${METADATA_PART}.json`) return METADATA_PART;
  if (fileName !== undefined) return FILE_NAMES.includes(fileName) ? fileName : LEFT_OUT;
  const hint = FILE_NAMES.includes(field) ? ' Send it as a file, with its file name.' : '';
  throw new AppError('invalid_request', {
    message: `The part ${JSON.stringify(name)} is none of ${[...FILE_NAMES, METADATA_PART].join(', ')}.${hint}`,
    param: field,
  });
}
export const LEFT_OUT = 'left out';

export function limitOfPart(kind: string, weightsLimitBytes: number): number {
  return LIMIT_BYTES[kind] ?? weightsLimitBytes;
}

/** `leftOut`: other files that came, which may say what went wrong. */
export function missingPart(name: string, leftOut: readonly string[] = []): AppError {
  const pickle = name === WEIGHTS_FILE && leftOut.find((other) => /\.(bin|pt|pth|ckpt|pkl)$/.test(other));
  const hint = pickle ? ` ${pickle} ${IS_PICKLE}` : '';
  return new AppError('invalid_request', { message: `The part ${name} is missing.${hint}`, param: name });
}

/** Weights under MLX-LM's name are the weights, unless there are some under PEFT's. */
export function settleNames<T>(files: Map<string, T>): Map<string, T> {
  const mlx = files.get(MLX_WEIGHTS_FILE);
  files.delete(MLX_WEIGHTS_FILE);
  if (mlx !== undefined && !files.has(WEIGHTS_FILE)) files.set(WEIGHTS_FILE, mlx);
  return files;
}

export function parseMetadata(text: string): UploadMetadata {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new AppError('invalid_request', {
      message: 'The part metadata is not JSON.',
      param: METADATA_PART,
    });
  }
  const result = UploadMetadataSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = [METADATA_PART, ...(issue?.path ?? [])].join('.');
  throw new AppError('invalid_request', {
    message: `${field}: ${issue?.message ?? 'not valid'}`,
    param: field,
  });
}
