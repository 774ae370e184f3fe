import { z } from 'zod';
import type { ImportFrom } from '#contracts/imports-api.js';
import { AppError } from '#runtime/app-error.js';
import {
  CONFIG_FILE,
  FILE_NAMES,
  GENERATION_FILE,
  TEMPLATE_FILE,
  TOKENIZER_CONFIG_FILE,
  WEIGHTS_FILE,
} from '../intake/upload-parts.js';
import { DerivationInputSchema, RecipeSchema } from '../derivation/recipe.js';
import { IS_PICKLE } from '../peft/file-kinds.js';
import { parseHubSource } from './hub-source.js';
import { parseS3Source } from './s3-source.js';

const FilesSchema = z.record(z.string(), z.string());

/** Where a version's files come from, as it is kept until they are there. */
export const ImportSourceSchema = z.discriminatedUnion('kind', [
  /** URL of each file. */
  z.object({ kind: z.literal('https'), files: FilesSchema }),
  z.object({ kind: z.literal('s3'), bucket: z.string(), prefix: z.string() }),
  z.object({ kind: z.literal('hub'), repo: z.string(), revision: z.string(), folder: z.string() }),
  /** Id of the finished upload of each file. */
  z.object({ kind: z.literal('uploads'), files: FilesSchema }),
  /** Computed from other versions of the tenant. */
  z.object({ kind: z.literal('derived'), recipe: RecipeSchema, inputs: z.array(DerivationInputSchema) }),
]);
export type ImportSource = z.infer<typeof ImportSourceSchema>;

/** Files without which there is no adapter. */
export const REQUIRED_FILES: readonly string[] = [CONFIG_FILE, WEIGHTS_FILE];

/** The one source that a request names. Throws invalid_request. */
export function parseImportFrom(from: ImportFrom): ImportSource {
  const { source, config_url, weights_url, chat_template_url, uploads } = from;
  checkOneSource(from);
  if (source !== undefined) return parseSource(source);
  if (uploads !== undefined) {
    return { kind: 'uploads', files: filesOfUploads(uploads) };
  }
  if (config_url === undefined) throw invalid('config_url', '`config_url` is missing beside `weights_url`.');
  if (weights_url === undefined) throw invalid('weights_url', '`weights_url` is missing.');
  return { kind: 'https', files: named(config_url, weights_url, chat_template_url) };
}

/** Throws invalid_request unless exactly one is named. */
export function checkOneSource(from: ImportFrom): void {
  const { source, config_url, weights_url, chat_template_url, uploads, derive } = from;
  const hasUrls = config_url !== undefined || weights_url !== undefined || chat_template_url !== undefined;
  const given = [source !== undefined, hasUrls, uploads !== undefined, derive !== undefined];
  if (given.filter(Boolean).length === 1) return;
  throw invalid(
    'source',
    'Give exactly one of `source`, `config_url` with `weights_url`, `uploads`, and `derive`.',
  );
}

function parseSource(source: string): ImportSource {
  if (source.startsWith('s3://')) return parseS3Source(source);
  if (source.startsWith('hf://')) return parseHubSource(source);
  if (/^https?:\/\//i.test(source) && URL.canParse(source)) return folderSource(new URL(source));
  throw invalid('source', '`source` must be an https://, s3:// or hf:// URL.');
}

/** A folder holds the two files; the URL of one of them means its folder. */
function folderSource(url: URL): ImportSource {
  const last = decodeURIComponentSafe(url.pathname.slice(url.pathname.lastIndexOf('/') + 1));
  const folder = new URL(url);
  if (FILE_NAMES.includes(last)) folder.pathname = url.pathname.slice(0, url.pathname.lastIndexOf('/') + 1);
  else if (/\.(bin|pt|pth|ckpt|pkl)$/i.test(last)) {
    throw invalid('source', `\`source\`: ${last} ${IS_PICKLE}`);
  } else if (/\.(zip|tar|gz|tgz|safetensors)$/i.test(last)) {
    throw invalid(
      'source',
      `\`source\` names a folder that holds ${CONFIG_FILE} and ${WEIGHTS_FILE}; for files with other names use config_url and weights_url.`,
    );
  } else if (!folder.pathname.endsWith('/')) folder.pathname += '/';
  const file = (name: string): string => {
    const each = new URL(folder);
    each.pathname += name;
    return each.href;
  };
  return { kind: 'https', files: named(file(CONFIG_FILE), file(WEIGHTS_FILE)) };
}

const UPLOAD_NAMES: Readonly<Record<string, string>> = {
  config: CONFIG_FILE,
  weights: WEIGHTS_FILE,
  chat_template: TEMPLATE_FILE,
  tokenizer_config: TOKENIZER_CONFIG_FILE,
  generation_config: GENERATION_FILE,
};

function filesOfUploads(uploads: NonNullable<ImportFrom['uploads']>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(uploads).flatMap(([name, id]) =>
      id === undefined ? [] : [[UPLOAD_NAMES[name] ?? name, id]],
    ),
  );
}

function named(config: string, weights: string, template?: string): Record<string, string> {
  return {
    [CONFIG_FILE]: config,
    [WEIGHTS_FILE]: weights,
    ...(template === undefined ? {} : { [TEMPLATE_FILE]: template }),
  };
}

/** The source as everybody who sees the version may read it: without queries, which may be signatures. */
export function describeSource(source: ImportSource): string {
  switch (source.kind) {
    case 'uploads':
      return 'upload';
    case 'derived':
      return `derived:${source.recipe.operation}`;
    case 's3':
      return `s3://${source.bucket}/${source.prefix}`;
    case 'hub': {
      const folder = source.folder === '' ? '' : `/${source.folder}`;
      return `hf://${source.repo}@${source.revision}${folder}`;
    }
    case 'https': {
      const weights = new URL(source.files[WEIGHTS_FILE] ?? '');
      return weights.origin + weights.pathname.replace(new RegExp(`/${WEIGHTS_FILE}$`), '/');
    }
  }
}

function decodeURIComponentSafe(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function invalid(param: string, message: string): AppError {
  return new AppError('invalid_request', { message, param });
}
