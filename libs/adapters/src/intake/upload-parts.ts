import { UploadMetadataSchema, type UploadMetadata } from '#contracts/adapters-api.js';
import { AppError } from '#runtime/app-error.js';

const MIB = 2 ** 20;

export const CONFIG_FILE = 'adapter_config.json';
export const WEIGHTS_FILE = 'adapter_model.safetensors';
export const TEMPLATE_FILE = 'chat_template.jinja';
export const METADATA_PART = 'metadata';

/** The files that an upload may carry, and how large each may be; undefined: the setting for weights. */
const LIMIT_BYTES: Readonly<Record<string, number | undefined>> = {
  [CONFIG_FILE]: 4 * MIB,
  [WEIGHTS_FILE]: undefined,
  [TEMPLATE_FILE]: MIB,
  'generation_config.json': MIB,
  'README.md': 4 * MIB,
};
export const FILE_NAMES = Object.keys(LIMIT_BYTES);
export const METADATA_LIMIT_BYTES = MIB / 16;

export interface PartHead {
  /** The form field. */
  readonly field: string;
  /** Absent: a plain field. */
  readonly fileName: string | undefined;
}

/** What a part is: one of the files, or `metadata`. Throws invalid_request for anything else. */
export function kindOfPart({ field, fileName }: PartHead): string {
  const name = fileName ?? field;
  if (name === METADATA_PART || name === `${METADATA_PART}.json`) return METADATA_PART;
  if (fileName !== undefined && FILE_NAMES.includes(fileName)) return fileName;
  const hint =
    fileName === undefined && FILE_NAMES.includes(field) ? ' Send it as a file, with its file name.' : '';
  throw new AppError('invalid_request', {
    message: `The part ${JSON.stringify(name)} is none of ${[...FILE_NAMES, METADATA_PART].join(', ')}.${hint}`,
    param: field,
  });
}

export function limitOfPart(kind: string, weightsLimitBytes: number): number {
  return LIMIT_BYTES[kind] ?? weightsLimitBytes;
}

export function missingPart(name: string): AppError {
  return new AppError('invalid_request', { message: `The part ${name} is missing.`, param: name });
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
