import type { Readable } from 'node:stream';
import type { DerivationResult } from '#contracts/derivations-api.js';
import type { ImportSource } from './import-source.js';

/** Where to begin in a file, and how to know that it is still the same. */
export interface Resumption {
  readonly offset: number;
  /** Undefined only at offset 0. */
  readonly validator: string | undefined;
}

export interface OpenedFile {
  /** Where the body begins: the offset asked for, or 0 when the source could not go on there. */
  readonly offset: number;
  readonly totalBytes: number | undefined;
  /** Present only when it names exactly these bytes. */
  readonly validator: string | undefined;
  readonly body: Readable;
}

export interface OriginFile {
  /** One of the known file names. */
  readonly name: string;
  readonly bytes: number | undefined;
  /** What the source says the bytes hash to. */
  readonly sha256: string | undefined;
  /** Undefined: the source does not have it, which only an optional file may do. */
  open(at: Resumption, signal: AbortSignal): Promise<OpenedFile | undefined>;
}

export interface ImportOrigin {
  /** The source with movable names replaced by what they stand for now. */
  readonly pinned: ImportSource;
  readonly files: readonly OriginFile[];
  /** Names of other files that lie beside them, where the source tells. */
  readonly leftOut: readonly string[];
  /** What came out, where the files were computed from other versions. */
  readonly derived?: DerivationResult;
}

/** Opens a source; throws ImportError (or OutboundError). */
export type OpenOrigin = (
  source: ImportSource,
  limits: OriginLimits,
  signal: AbortSignal,
) => Promise<ImportOrigin>;

export interface OriginLimits {
  /** The most that a file may have. */
  readonly bytesOf: (name: string) => number;
}
