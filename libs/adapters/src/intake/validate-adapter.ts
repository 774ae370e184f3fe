import { createHash } from 'node:crypto';
import { MAX_ADAPTER_HEADER_BYTES, readAdapter, rejectUnreadable, rejectWith } from '../peft/read-adapter.js';
import { scanWeights } from '../peft/scan-weights.js';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { AdapterReport } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { ParityRequest } from '#contracts/parity.js';
import { SafetensorsError } from '#safetensors/error.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { SafetensorsValidator } from '#safetensors/validator.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { type DenseConfig, denseChanges } from '../dense/dense-changes.js';
import { templateProblems } from './template-problems.js';
import { CONFIG_FILE, limitOfPart, TEMPLATE_FILE, WEIGHTS_FILE } from './upload-parts.js';

export interface ValidationInput {
  /** The version's files by name. */
  readonly files: ReadonlyMap<string, BlobInfo>;
  readonly base: BaseModel;
  readonly blobs: BlobStore;
  readonly signal: AbortSignal;
}

export type Validation =
  | {
      readonly verdict: 'accepted';
      readonly manifest: AdapterManifest;
      readonly report: AdapterReport;
      /** The same adapter by another reading, for the parity check. */
      readonly parity: Pick<ParityRequest, 'weights' | 'changes'>;
    }
  | { readonly verdict: 'rejected'; readonly report: AdapterReport };

/** Reads a version's config and weights against the base model; the bytes are streamed, at most twice. */
export async function validateAdapter({ files, base, blobs, signal }: ValidationInput): Promise<Validation> {
  const config = fileNamed(files, CONFIG_FILE);
  const weights = fileNamed(files, WEIGHTS_FILE);
  const chatTemplate = files.get(TEMPLATE_FILE);
  const configJson = (await blobs.read(config.sha256, limitOfPart(CONFIG_FILE, 0))).toString('utf8');
  try {
    const header = await readHeader(blobs, weights, signal);
    const result = readAdapter({ configJson, header, base, weights, ...(chatTemplate && { chatTemplate }) });
    if (result.verdict === 'rejected') return result;
    const { manifest, report } = result;
    const chunks = verified(blobs, weights, signal);
    const problems = [
      ...(await templateProblems(chatTemplate, base, blobs)),
      ...(await scanWeights({ chunks, header, manifest, signal })),
    ];
    if (problems.length > 0) return { verdict: 'rejected', report: rejectWith(report, problems) };
    const changes = denseChanges({ config: JSON.parse(configJson) as DenseConfig, header, base });
    return { ...result, parity: { weights: weights.sha256, changes } };
  } catch (error) {
    if (error instanceof SafetensorsError) return { verdict: 'rejected', report: rejectUnreadable(error) };
    throw error;
  }
}

function fileNamed(files: ReadonlyMap<string, BlobInfo>, name: string): BlobInfo {
  const file = files.get(name);
  if (!file) throw new Error(`the version has no ${name}`);
  return file;
}

/** The checked header. The rest of the file is read only to say what is wrong with its length. */
async function readHeader(
  blobs: BlobStore,
  weights: BlobInfo,
  signal: AbortSignal,
): Promise<SafetensorsHeader> {
  const validator = new SafetensorsValidator({ maxHeaderBytes: MAX_ADAPTER_HEADER_BYTES });
  const stream = await blobs.open(weights.sha256);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      validator.push(chunk);
      if (validator.header?.fileBytes === weights.bytes) return validator.header;
    }
    return validator.finish();
  } finally {
    stream.destroy();
  }
}

/** The blob's bytes; ends with an error when they are not those that were uploaded. */
async function* verified(
  blobs: BlobStore,
  { sha256 }: BlobInfo,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  const stream = await blobs.open(sha256);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      hash.update(chunk);
      yield chunk;
    }
  } finally {
    stream.destroy();
  }
  if (hash.digest('hex') !== sha256) throw new Error(`blob ${sha256} is damaged`);
}
