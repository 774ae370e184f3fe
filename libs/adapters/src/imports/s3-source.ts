import { AppError } from '#runtime/app-error.js';

export interface S3Source {
  readonly kind: 's3';
  readonly bucket: string;
  /** Without slashes at its ends; empty: the bucket's root. */
  readonly prefix: string;
}

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/** `s3://bucket/prefix`. Throws invalid_request. */
export function parseS3Source(text: string): S3Source {
  const match = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(text);
  const bucket = match?.[1] ?? '';
  const prefix = (match?.[2] ?? '').replace(/\/+$/, '');
  const steps = prefix.split('/');
  const plain = prefix === '' || steps.every((step) => step !== '' && step !== '.' && step !== '..');
  if (!BUCKET.test(bucket) || !plain || prefix.length > 900) {
    throw new AppError('invalid_request', {
      message: '`source` must have the form s3://bucket/prefix.',
      param: 'source',
    });
  }
  return { kind: 's3', bucket, prefix };
}

/** Where an operator lets imports read: `bucket` or `bucket/prefix`. */
export interface S3Place {
  readonly bucket: string;
  readonly prefix: string;
}

/** Whether `source` lies in the place, at a boundary of folders. */
export function isWithin({ bucket, prefix }: S3Place, source: S3Place): boolean {
  if (bucket !== source.bucket) return false;
  return prefix === '' || source.prefix === prefix || source.prefix.startsWith(`${prefix}/`);
}
