import type { IncomingHttpHeaders } from 'node:http';
import { basename } from 'node:path/posix';
import type { Readable } from 'node:stream';
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy';
import { asStorable } from '#contracts/storable.js';
import { AppError } from '#runtime/app-error.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';

const MAX_NAME_CHARACTERS = 255;
const MAX_FIELD_BYTES = 1_024;
const MAX_PARTS = 16;
const FILE_PART = 'file';

export interface FileSource {
  readonly headers: IncomingHttpHeaders;
  /** The request's body as it comes from the client. */
  readonly body: Readable;
}

export interface ReceivedFile {
  readonly filename: string;
  readonly blob: BlobInfo;
  /** The text parts, as they came: `expires_after[seconds]` is a member of `expires_after`. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** One file on its way into the blob store, by multipart; it streams through. */
export class FileUpload {
  /** What was stored, also when the upload fails later. */
  stored: string | undefined;
  readonly #abort = new AbortController();
  readonly #fields: Record<string, unknown> = {};
  #file: Promise<Omit<ReceivedFile, 'fields'>> | undefined;

  constructor(
    private readonly blobs: BlobStore,
    private readonly limitBytes: number,
  ) {}

  /** Reads to the end; throws at the first fault, when nothing is being written any more. */
  async read({ headers, body }: FileSource): Promise<ReceivedFile> {
    const parser = makeParser(headers);
    const parsed = new Promise<void>((resolve, reject) => {
      parser.on('file', (field, stream, filename) => this.#takeFile(field, filename, stream));
      parser.on('field', (name, value, _, truncated) =>
        this.#guarded(() => this.#take(name, value, truncated)),
      );
      parser.once('partsLimit', () => reject(fault('The upload has too many parts.')));
      parser.once('error', (cause) => reject(malformed(cause)));
      parser.once('finish', resolve);
      body.once('error', () => reject(new AppError('client_closed_request')));
      body.once('close', () => body.readableEnded || reject(new AppError('client_closed_request')));
      this.#abort.signal.addEventListener('abort', () => reject(this.#abort.signal.reason as Error));
    });
    body.pipe(parser);
    try {
      await parsed;
      if (!this.#file) throw fault('file: is missing: send it as a part with a file name', FILE_PART);
      return { ...(await this.#file), fields: this.#fields };
    } catch (error) {
      body.unpipe(parser);
      body.resume(); // the client reads our answer only once it has sent what it wanted to send
      this.#abort.abort(error);
      parser.destroy();
      await this.#file?.catch(() => undefined);
      throw error;
    }
  }

  #takeFile(field: string, filename: string, stream: BusboyFileStream): void {
    stream.on('error', () => undefined); // whoever reads the stream reports it
    const isOurs = this.#guarded(() => {
      if (field !== FILE_PART) throw fault(`${shown(field)}: is no part of this upload`, shown(field));
      if (this.#file) throw fault('file: occurs twice', FILE_PART);
    });
    if (!isOurs) return void stream.resume();
    this.#file = this.#store(filename, stream).catch((error: unknown) => {
      stream.resume();
      this.#abort.abort(error);
      throw error;
    });
    this.#file.catch(() => undefined); // `read` awaits it as well
  }

  async #store(filename: string, stream: BusboyFileStream): Promise<Omit<ReceivedFile, 'fields'>> {
    const { limitBytes } = this;
    const blob = await this.blobs.put(stream, { limitBytes, signal: this.#abort.signal });
    this.stored = blob.sha256;
    if (blob.bytes === 0) throw fault('file: is empty', FILE_PART);
    const name = basename(filename.replaceAll('\\', '/')).slice(0, MAX_NAME_CHARACTERS);
    return { filename: asStorable(name) || FILE_PART, blob };
  }

  #take(name: string, value: string, truncated: boolean): void {
    const [, outer = name, inner] = /^([^[\]]+)\[([^[\]]+)\]$/.exec(name) ?? [];
    if (outer === FILE_PART) throw fault('file: expected a part with a file name', FILE_PART);
    if (truncated) throw fault(`${shown(name)}: is too long`, shown(name));
    const before = this.#fields[outer];
    if (inner === undefined) this.#fields[outer] = value;
    else this.#fields[outer] = { ...(typeof before === 'object' ? before : {}), [inner]: value };
  }

  /** Whether `work` found nothing at fault; its fault ends the upload. */
  #guarded(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      this.#abort.abort(error);
      return false;
    }
  }
}

function makeParser(headers: IncomingHttpHeaders): BusboyInstance {
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': headers['content-type'] ?? '' },
      limits: { parts: MAX_PARTS, fieldSize: MAX_FIELD_BYTES, fieldNameSize: 200, headerPairs: 50 },
    });
  } catch (cause) {
    throw malformed(cause);
  }
}

function shown(name: string): string {
  return asStorable(name.slice(0, MAX_NAME_CHARACTERS));
}

function fault(message: string, param?: string): AppError {
  return new AppError('invalid_request', { message, ...(param === undefined ? {} : { param }) });
}

function malformed(cause: unknown): AppError {
  return new AppError('invalid_request', {
    message: 'The multipart body is malformed or ends too early.',
    cause,
  });
}
