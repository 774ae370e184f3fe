import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy';
import { AppError } from '#runtime/app-error.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import type { UploadMetadata } from '#contracts/adapters-api.js';
import {
  CONFIG_FILE,
  FILE_NAMES,
  kindOfPart,
  limitOfPart,
  METADATA_LIMIT_BYTES,
  METADATA_PART,
  missingPart,
  parseMetadata,
  type PartHead,
  WEIGHTS_FILE,
} from './upload-parts.js';

export interface UploadSource {
  readonly headers: IncomingHttpHeaders;
  /** The request's body as it comes from the client. */
  readonly body: Readable;
}

export interface ReceivedFiles {
  readonly files: ReadonlyMap<string, BlobInfo>;
  readonly metadata: UploadMetadata;
}

/** One multipart upload on its way into the blob store; every file streams through, none is held in memory. */
export class UploadReader {
  /** Hashes of what was stored, also when the upload fails later. */
  readonly stored: string[] = [];
  readonly #abort = new AbortController();
  readonly #files = new Map<string, BlobInfo>();
  readonly #seen = new Set<string>();
  readonly #work: Promise<void>[] = [];
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
    for (const name of [CONFIG_FILE, WEIGHTS_FILE]) if (!this.#files.has(name)) throw missingPart(name);
    return { files: this.#files, metadata: this.#metadata };
  }

  #take(head: PartHead, stream: BusboyFileStream): void {
    this.#own(async () => {
      stream.on('error', () => undefined); // whoever reads the stream reports it
      const kind = this.#once(head);
      const limitBytes =
        kind === METADATA_PART ? METADATA_LIMIT_BYTES : limitOfPart(kind, this.limits.weightsBytes);
      if (kind === METADATA_PART) {
        this.#metadata = parseMetadata(await text(stream));
        return;
      }
      const info = await this.blobs.put(stream, { limitBytes, signal: this.#abort.signal });
      this.stored.push(info.sha256);
      this.#files.set(kind, info);
    }, stream);
  }

  #takeField(field: string, value: string, truncated: boolean): void {
    this.#own(async () => {
      this.#once({ field, fileName: undefined });
      if (truncated)
        throw new AppError('payload_too_large', { message: 'The part metadata is too large.', param: field });
      this.#metadata = parseMetadata(value);
    });
  }

  /** What the part is, once per upload. */
  #once(head: PartHead): string {
    const kind = kindOfPart(head);
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
        parts: FILE_NAMES.length + 2,
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

function tooManyParts(): AppError {
  return new AppError('invalid_request', { message: 'The upload has too many parts.' });
}

function clientGone(): AppError {
  return new AppError('client_closed_request');
}
