import { GetObjectCommand, type GetObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { isNotFound, statusOf } from '#stores/blobs/s3-client.js';
import { FILE_NAMES } from '../intake/upload-parts.js';
import { final, ImportError } from './import-error.js';
import type { ImportOrigin, OpenedFile, Resumption } from './import-origin.js';
import { isRetryableStatus } from './retry-rule.js';
import { isWithin, type S3Place, type S3Source } from './s3-source.js';

export interface S3Access {
  /** Made when it is first needed. */
  readonly client: () => S3Client;
  /** Where imports may read. */
  readonly open: readonly S3Place[];
  /** Where adapters of all tenants are stored; never open, whatever else is. */
  readonly storage: S3Place | undefined;
}

/** Files below a prefix of a bucket that the operator opened for imports. */
export function s3Origin(source: S3Source, access: S3Access): ImportOrigin {
  const { storage } = access;
  const touchesStorage = storage && (isWithin(storage, source) || isWithin(source, storage));
  if (touchesStorage || !access.open.some((place) => isWithin(place, source))) {
    throw final(
      `s3://${source.bucket}/${source.prefix} is not open for imports; the operator opens places by IMPORT_S3_BUCKETS.`,
    );
  }
  return {
    pinned: source,
    leftOut: [],
    files: FILE_NAMES.map((name) => ({
      name,
      bytes: undefined,
      sha256: undefined,
      open: (at, signal) => {
        const key = source.prefix === '' ? name : `${source.prefix}/${name}`;
        return openObject(access.client(), { bucket: source.bucket, key }, { at, signal });
      },
    })),
  };
}

async function openObject(
  client: S3Client,
  { bucket, key }: { bucket: string; key: string },
  { at, signal }: { at: Resumption; signal: AbortSignal },
): Promise<OpenedFile | undefined> {
  const resumes = at.offset > 0 && at.validator !== undefined;
  const range = resumes ? { Range: `bytes=${at.offset}-`, IfMatch: at.validator } : {};
  let object: GetObjectCommandOutput;
  try {
    object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...range }), {
      abortSignal: signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    if (isNotFound(error)) return undefined;
    // The object was replaced, or became shorter.
    if (resumes && [412, 416].includes(statusOf(error) ?? 0)) {
      return openObject(client, { bucket, key }, { at: { offset: 0, validator: undefined }, signal });
    }
    throw refused(`s3://${bucket}/${key}`, error);
  }
  return opened(object, resumes ? at.offset : 0);
}

function opened(
  { Body, ContentLength, ContentRange, ETag }: GetObjectCommandOutput,
  offset: number,
): OpenedFile {
  const begins = offset > 0 && ContentRange?.startsWith(`bytes ${offset}-`) === true ? offset : 0;
  const body = Body as Readable;
  return {
    offset: begins,
    totalBytes: ContentLength === undefined ? undefined : begins + ContentLength,
    validator: ETag,
    body,
  };
}

function refused(name: string, error: unknown): ImportError {
  const status = statusOf(error);
  if (status === undefined) {
    return new ImportError('The S3 service does not answer.', { retryable: true, cause: error });
  }
  return new ImportError(`The S3 service answered ${status} for ${name}.`, {
    retryable: isRetryableStatus(status),
    cause: error,
  });
}
