import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { basename } from 'node:path/posix';
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy';
import { AppError } from '#runtime/app-error.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import type { UploadMetadata } from '#contracts/adapters-api.js';
import { asStorable } from '#contracts/storable.js';
import {
  CONFIG_FILE,
  FILE_NAMES,
  kindOfPart,
  LEFT_OUT,
  limitOfPart,
  MAX_LEFT_OUT,
  METADATA_LIMIT_BYTES,
  METADATA_PART,
  missingPart,
  parseMetadata,
  type PartHead,
  settleNames,
  WEIGHTS_FILE,
} from './upload-parts.js';

const MAX_NAME_CHARACTERS = 255;

export interface UploadSource {
  readonly headers: IncomingHttpHeaders;
  /** The request's body as it comes from the client. */
  readonly body: Readable;
}

export interface ReceivedFiles {
  readonly files: ReadonlyMap<string, BlobInfo>;
  readonly metadata: UploadMetadata;
  /** Names of files that are no part of an adapter; they were not stored. */
  readonly leftOut: readonly string[];
}

/** One multipart upload on its way into the blob store; every file streams through, none is held in memory. */
export class UploadReader {
  /** Hashes of what was stored, also when the upload fails later. */
  readonly stored: string[] = [];
  readonly #abort = new AbortController();
  readonly #files = new Map<string, BlobInfo>();
  readonly #seen = new Set<string>();
  readonly #work: Promise<void>[] = [];
  readonly #leftOut = new Set<string>();
  #leftOutBytes = 0;
  #metadata: UploadMetadata = {};

  constructor(
    private readonly blobs: BlobStore,
    private readonly limits: { readonly weightsBytes: number },
  ) {}

  /** Reads to the end; throws at the first fault, when no file is being written any more. */
  async read({ headers, body }: UploadSource): Promise<ReceivedFiles> {
    const parser = makeParser(headers);
    const parsed = new Promise<void>((resolve, reject) => {
      parser.on('file', (field, stream, fileName) => this.#take({ field, fileName }, stream));
      parser.on('field', (field, value, _, truncated) => this.#takeField(field, value, truncated));
      parser.once('partsLimit', () => reject(tooManyParts()));
      parser.once('error', (cause) => reject(malformed(cause)));
      parser.once('finish', resolve);
      body.once('error', () => reject(clientGone()));
      body.once('close', () => body.readableEnded || reject(clientGone()));
      this.#abort.signal.addEventListener('abort', () => reject(this.#abort.signal.reason as Error));
    });
    body.pipe(parser);
    try {
      await parsed;
      await Promise.all(this.#work);
    } catch (error) {
      body.unpipe(parser);
      body.resume(); // the client reads our answer only once it has sent what it wanted to send
      this.#abort.abort(error);
      parser.destroy();
      await Promise.allSettled(this.#work);
      throw error;
    }
    const leftOut = [...this.#leftOut].sort();
    settleNames(this.#files);
    for (const name of [CONFIG_FILE, WEIGHTS_FILE]) {
      if (!this.#files.has(name)) throw missingPart(name, leftOut);
    }
    return { files: this.#files, metadata: this.#metadata, leftOut };
  }

  #take(head: PartHead, stream: BusboyFileStream): void {
    this.#own(async () => {
      stream.on('error', () => undefined); // whoever reads the stream reports it
      const kind = this.#once(head);
      if (kind === LEFT_OUT) return this.#drain(head.fileName ?? '', stream);
      if (kind === METADATA_PART) {
        this.#metadata = parseMetadata(await this.#textOf(stream, head.field));
        return;
      }
      const limitBytes = limitOfPart(kind, this.limits.weightsBytes);
      const info = await this.blobs.put(stream, { limitBytes, signal: this.#abort.signal });
      this.stored.push(info.sha256);
      this.#files.set(kind, info);
    }, stream);
  }

  /** Reads past a file that is no part of an adapter. */
  async #drain(name: string, stream: Readable): Promise<void> {
    if (this.#leftOut.size >= MAX_LEFT_OUT) throw tooManyParts();
    this.#leftOut.add(asStorable(basename(name).slice(0, MAX_NAME_CHARACTERS)));
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      this.#leftOutBytes += chunk.length;
      if (this.#leftOutBytes <= this.limits.weightsBytes) continue;
      throw new AppError('payload_too_large', {
        message: `${name.slice(0, MAX_NAME_CHARACTERS)} is no part of an adapter: leave it and its like out.`,
        param: name.slice(0, MAX_NAME_CHARACTERS),
      });
    }
  }

  async #textOf(stream: Readable, param: string): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > METADATA_LIMIT_BYTES) throw metadataTooLarge(param);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  #takeField(field: string, value: string, truncated: boolean): void {
    this.#own(async () => {
      this.#once({ field, fileName: undefined });
      if (truncated) throw metadataTooLarge(field);
      this.#metadata = parseMetadata(value);
    });
  }

  /** What the part is, once per upload. */
  #once(head: PartHead): string {
    const kind = kindOfPart(head);
    if (kind === LEFT_OUT) return kind;
    if (this.#seen.has(kind)) {
      throw new AppError('invalid_request', { message: `The part ${kind} occurs twice.`, param: head.field });
    }
    this.#seen.add(kind);
    return kind;
  }

  /** Runs a part's work; its failure ends the whole upload. */
  #own(work: () => Promise<void>, stream?: Readable): void {
    const running = work().catch((error: unknown) => {
      stream?.resume();
      this.#abort.abort(error);
      throw error;
    });
    running.catch(() => undefined); // `read` awaits it as well
    this.#work.push(running);
  }
}

function makeParser(headers: IncomingHttpHeaders): BusboyInstance {
  const contentType = headers['content-type'];
  if (contentType === undefined) throw malformed(new Error('no content type'));
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': contentType },
      limits: {
        parts: FILE_NAMES.length + MAX_LEFT_OUT + 2,
        fieldSize: METADATA_LIMIT_BYTES,
        fieldNameSize: 200,
        headerPairs: 50,
      },
    });
  } catch (cause) {
    throw malformed(cause);
  }
}

function malformed(cause: unknown): AppError {
  return new AppError('invalid_request', {
    message: 'The multipart body is malformed or ends too early.',
    cause,
  });
}

function metadataTooLarge(param: string): AppError {
  return new AppError('payload_too_large', {
    message: `The part metadata is larger than ${METADATA_LIMIT_BYTES} bytes.`,
    param,
  });
}

function tooManyParts(): AppError {
  return new AppError('invalid_request', { message: 'The upload has too many parts.' });
}

function clientGone(): AppError {
  return new AppError('client_closed_request');
}
