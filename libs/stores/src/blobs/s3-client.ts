import { S3Client } from '@aws-sdk/client-s3';
import { type SettingsOf, setting, text } from '#runtime/settings.js';

/** Of any service that speaks S3. */
export const s3Settings = {
  s3Endpoint: setting(
    {
      name: 'S3_ENDPOINT',
      summary: 'URL of a service that speaks S3, for `s3://` storage and imports',
      defaultText: "AWS's own",
    },
    text.optional(),
  ),
  s3Region: setting(
    { name: 'S3_REGION', summary: 'Region of the buckets', defaultText: 'us-east-1' },
    text.string('us-east-1'),
  ),
  s3AccessKeyId: setting(
    {
      name: 'S3_ACCESS_KEY_ID',
      summary: 'Access key',
      defaultText: "the SDK's own sources: profile, role of the machine",
    },
    text.optional(),
  ),
  s3SecretAccessKey: setting(
    { name: 'S3_SECRET_ACCESS_KEY', summary: 'Secret of S3_ACCESS_KEY_ID', secret: true },
    text.optional(),
  ),
  s3ForcePathStyle: setting(
    {
      name: 'S3_FORCE_PATH_STYLE',
      summary: "The bucket stands in the URL's path, not in its host name",
      defaultText: '`true` with S3_ENDPOINT',
    },
    text.boolean(false).optional(),
  ),
};
export type S3Settings = SettingsOf<typeof s3Settings>;

/** Connections beyond which requests wait for each other. */
const MAX_SOCKETS = 64;
const CONNECT_TIMEOUT_MS = 10_000;
/** Of a connection on which nothing comes. */
const IDLE_TIMEOUT_MS = 60_000;

export function makeS3Client(settings: S3Settings): S3Client {
  const { s3Endpoint, s3Region, s3AccessKeyId, s3SecretAccessKey, s3ForcePathStyle } = settings;
  return new S3Client({
    region: s3Region,
    ...(s3Endpoint === undefined ? {} : { endpoint: s3Endpoint }),
    ...(s3AccessKeyId === undefined || s3SecretAccessKey === undefined
      ? {}
      : { credentials: { accessKeyId: s3AccessKeyId, secretAccessKey: s3SecretAccessKey } }),
    forcePathStyle: s3ForcePathStyle ?? s3Endpoint !== undefined,
    // Services other than AWS's refuse the newer checksums; we verify our own SHA-256 of every byte.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: IDLE_TIMEOUT_MS,
      httpsAgent: { maxSockets: MAX_SOCKETS },
      httpAgent: { maxSockets: MAX_SOCKETS },
    },
  });
}

/** Whether S3 says that there is no such object (or bucket). */
export function isNotFound(error: unknown): boolean {
  return statusOf(error) === 404;
}

export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode;
}
