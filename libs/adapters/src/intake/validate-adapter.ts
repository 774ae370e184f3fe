import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import {
  MAX_ADAPTER_HEADER_BYTES,
  readAdapter,
  rejectUnreadable,
  rejectWith,
  warnWith,
} from '../peft/read-adapter.js';
import { PythonRegexError } from '../peft/python-regex-parser.js';
import { buildReport } from '../peft/report.js';
import { ownVocabulary, withVocabulary } from '../peft/own-vocabulary.js';
import { reportCopies, withoutCopies } from '../peft/base-copies.js';
import { scanWeights } from '../peft/scan-weights.js';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { AdapterReport, FileReport } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { DenseChange, ParityRequest } from '#contracts/parity.js';
import { SafetensorsError } from '#safetensors/error.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { SafetensorsValidator } from '#safetensors/validator.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { type DenseConfig, denseChanges } from '../dense/dense-changes.js';
import { templateProblems } from './template-problems.js';
import { isMadeFile } from '../blobs/removal.js';
import { inPeftForm } from './peft-form.js';
import {
  CONFIG_FILE,
  GENERATION_FILE,
  limitOfPart,
  TEMPLATE_FILE,
  ADDED_TOKENS_FILE,
  TOKENIZER_CONFIG_FILE,
  TOKENIZER_FILE,
  WEIGHTS_FILE,
} from './upload-parts.js';
import { readExtras } from './version-extras.js';

export interface ValidationInput {
  /** The version's files by name. */
  readonly files: ReadonlyMap<string, BlobInfo>;
  /** Names of files that came with them and were left out. */
  readonly leftOut: readonly string[];
  readonly base: BaseModel;
  /** Refuse an adapter whose config does not name the base. */
  readonly mustMatchBase: boolean;
  readonly blobs: BlobStore;
  readonly signal: AbortSignal;
}

export type Validation = {
  /** Files made from those that came, by name; whoever asked owns them. */
  readonly made: ReadonlyMap<string, BlobInfo>;
} & (
  | {
      readonly verdict: 'accepted';
      readonly manifest: AdapterManifest;
      readonly report: AdapterReport;
      /** The same adapter by another reading, for the parity check. */
      readonly parity: Pick<ParityRequest, 'weights' | 'changes' | 'tokens' | 'invocation' | 'vocabSize'>;
    }
  | { readonly verdict: 'rejected'; readonly report: AdapterReport }
);

/** Reads a version's config and weights against the base model; the bytes are streamed, at most twice. */
export async function validateAdapter(input: ValidationInput): Promise<Validation> {
  const validation = await new Validator(input).run();
  return { ...validation, report: { ...validation.report, files: fileReports(input) } };
}

class Validator {
  readonly #made = new Map<string, BlobInfo>();

  constructor(private readonly input: ValidationInput) {}

  async run(): Promise<Validation> {
    const { files, blobs, signal } = this.input;
    const config = fileNamed(files, CONFIG_FILE);
    const weights = fileNamed(files, WEIGHTS_FILE);
    const configJson = (await blobs.read(config.sha256, limitOfPart(CONFIG_FILE, 0))).toString('utf8');
    try {
      return await this.#read(configJson, weights, await readHeader(blobs, weights, signal));
    } catch (error) {
      if (error instanceof SafetensorsError) {
        const begin = await firstBytes(blobs, weights);
        return this.#rejected(rejectUnreadable(error, { configJson, begin }));
      }
      if (error instanceof PythonRegexError) {
        const problem = {
          code: 'regex_unsupported' as const,
          message: `A pattern of the config: ${error.message}.`,
        };
        return this.#rejected(
          buildReport({ errors: [problem], warnings: [], fields: [], tensors: [], modules: [] }),
        );
      }
      throw error;
    }
  }

  async #read(config: string, uploaded: BlobInfo, found: SafetensorsHeader): Promise<Validation> {
    const { base, blobs, signal, mustMatchBase } = this.input;
    const form = await inPeftForm({
      configJson: config,
      weights: uploaded,
      header: found,
      base,
      blobs,
      signal,
    });
    if ('rejected' in form) return this.#rejected(form.rejected);
    this.#add(form.made);
    const { configJson, weights, header } = form;
    const own = withVocabulary(base, ownVocabulary(configJson, header, base));
    const extras = await readExtras({ ...this.input, base: own });
    this.#add(extras.made);
    const result = readAdapter({ configJson, header, base, weights, mustMatchBase, extras: extras.manifest });
    const report = {
      ...result.report,
      ...(form.report.fields && { fields: form.report.fields }),
      warnings: [...(form.report.warnings ?? []), ...result.report.warnings, ...extras.warnings],
    };
    if (result.verdict === 'rejected' || extras.errors.length > 0) {
      return this.#rejected(rejectWith(report, extras.errors));
    }
    const chunks = verified(blobs, weights, signal);
    const templates = [extras.manifest.chatTemplate, extras.manifest.toolChatTemplate];
    const scan = await scanWeights({ chunks, header, manifest: result.manifest, base: own, signal });
    const modules = withoutCopies(result.manifest.modules, scan.copies);
    const manifest = { ...result.manifest, modules };
    const problems = [...scan.problems];
    for (const template of templates) problems.push(...(await templateProblems(template, base, blobs)));
    if (problems.length > 0) return this.#rejected(rejectWith(report, problems));
    const dense = JSON.parse(configJson) as DenseConfig;
    const changes = withoutDenseCopies(denseChanges({ config: dense, header, base: own }), scan.copies);
    return {
      verdict: 'accepted',
      manifest,
      report: warnWith(reportCopies(report, scan.copies), scan.warnings),
      parity: {
        weights: weights.sha256,
        changes,
        tokens: [...scan.tokens],
        ...(manifest.invocationTokens && { invocation: manifest.invocationTokens }),
        ...(manifest.vocabSize !== undefined && { vocabSize: manifest.vocabSize }),
      },
      made: this.#made,
    };
  }

  #add(made: ReadonlyMap<string, BlobInfo>): void {
    for (const [name, info] of made) this.#made.set(name, info);
  }

  #rejected(report: AdapterReport): Validation {
    return { verdict: 'rejected', report, made: this.#made };
  }
}

/** A copy that is left out is no change to check either. */
function withoutDenseCopies(changes: readonly DenseChange[], copies: readonly string[]): DenseChange[] {
  return changes.flatMap(({ weight, ...rest }): DenseChange[] => {
    if (weight === undefined) return [rest];
    if (!copies.includes(weight)) return [{ ...rest, weight }];
    return Object.keys(rest).length > 1 ? [rest] : [];
  });
}

const READ_FILES = new Set([
  CONFIG_FILE,
  WEIGHTS_FILE,
  TEMPLATE_FILE,
  TOKENIZER_CONFIG_FILE,
  TOKENIZER_FILE,
  ADDED_TOKENS_FILE,
  GENERATION_FILE,
]);

function fileReports({ files, leftOut }: ValidationInput): FileReport[] {
  const came = [...files.keys()].filter((name) => !isMadeFile(name)).sort();
  return [
    ...came.map((name) => ({ name, use: READ_FILES.has(name) ? ('read' as const) : ('kept' as const) })),
    ...leftOut.map((name) => ({ name, use: 'left_out' as const })),
  ];
}

/** What a file begins with, to tell what it is when it is no safetensors file. */
async function firstBytes(blobs: BlobStore, { sha256, bytes }: BlobInfo): Promise<Uint8Array> {
  if (bytes === 0) return new Uint8Array();
  return buffer(await blobs.open(sha256, { begin: 0, end: Math.min(bytes, 256) }));
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
