import { createReadStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { BaseModel } from '#contracts/base-model.js';
import type { DerivationResult } from '#contracts/derivations-api.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { type EntityManager, In } from 'typeorm';
import { VersionFile } from '../blobs/version-file.entity.js';
import { final } from '../imports/import-error.js';
import type { ImportOrigin, OriginFile } from '../imports/import-origin.js';
import type { ImportSource } from '../imports/import-source.js';
import {
  ADDED_TOKENS_FILE,
  CONFIG_FILE,
  GENERATION_FILE,
  TEMPLATE_FILE,
  TOKENIZER_CONFIG_FILE,
  TOKENIZER_FILE,
  WEIGHTS_FILE,
} from '../intake/upload-parts.js';
import { DerivationRefused } from './derivation-refused.js';
import { type DerivationJob, GGUF_FILE } from './derive.js';

type DerivedSource = ImportSource & { readonly kind: 'derived' };

export interface DerivedOptions {
  readonly tenantId: string;
  readonly manager: EntityManager;
  readonly blobs: BlobStore;
  /** Of this attempt alone. */
  readonly folder: string;
  /** The base that is served. */
  readonly base: () => Promise<BaseModel>;
  readonly compute: (job: Omit<DerivationJob, 'memoryBytes'>) => Promise<DerivationResult>;
}

/** What the first input has beside its weights, and the result as well. */
const COMPANIONS = [TEMPLATE_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, ADDED_TOKENS_FILE, GENERATION_FILE];

/** Computes the files on this machine. Throws ImportError. */
export async function derivedOrigin(source: DerivedSource, options: DerivedOptions): Promise<ImportOrigin> {
  const { tenantId, manager, blobs, folder } = options;
  const { recipe } = source;
  const isGguf = recipe.operation === 'convert' && recipe.to === 'gguf';
  const kept = isGguf ? [CONFIG_FILE, WEIGHTS_FILE, ...COMPANIONS] : COMPANIONS;
  const versionId = In(source.inputs.map(({ id }) => id));
  const files = await manager.find(VersionFile, {
    where: { tenantId, versionId, name: In([CONFIG_FILE, WEIGHTS_FILE, ...COMPANIONS]) },
  });
  const inputs = source.inputs.map(({ id, ...input }) => {
    const config = files.find(({ versionId, name }) => versionId === id && name === CONFIG_FILE);
    if (!config) throw final(`${input.name} was deleted before the version was made from it.`);
    return { ...input, configSha256: config.sha256 };
  });
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const result = await options
    .compute({ recipe, inputs, folder, base: isGguf ? await options.base() : undefined })
    .catch((error: unknown) =>
      Promise.reject(error instanceof DerivationRefused ? final(error.message) : error),
    );
  const beside = files.filter((file) => file.versionId === source.inputs[0]?.id && kept.includes(file.name));
  const computed = isGguf ? [GGUF_FILE] : [CONFIG_FILE, WEIGHTS_FILE];
  return {
    pinned: source,
    leftOut: [],
    derived: result,
    files: [
      ...(await Promise.all(computed.map((name) => computedFile(folder, name)))),
      ...beside.map(({ name, sha256, bytes }) => ({
        name,
        bytes,
        sha256,
        open: async () => opened(bytes, await blobs.open(sha256)),
      })),
    ],
  };
}

async function computedFile(folder: string, name: string): Promise<OriginFile> {
  const path = join(folder, name);
  const { size } = await stat(path);
  return { name, bytes: size, sha256: undefined, open: async () => opened(size, createReadStream(path)) };
}

function opened(totalBytes: number, body: Readable) {
  return { offset: 0, totalBytes, validator: undefined, body };
}
