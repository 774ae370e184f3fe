import { hubSettings } from '#runtime/hub-settings.js';
import { setting, text } from '#runtime/settings.js';
import type { S3Place } from './s3-source.js';
import { z } from 'zod';

const places = z
  .string()
  .default('')
  .transform((value): S3Place[] =>
    value
      .split(',')
      .map((each) =>
        each
          .trim()
          .replace(/^s3:\/\//, '')
          .replace(/\/+$/, ''),
      )
      .filter((each) => each !== '')
      .map((each) => {
        const [bucket = '', ...steps] = each.split('/');
        return { bucket, prefix: steps.join('/') };
      }),
  );

/** What the worker reads to import adapters. */
export const importSettings = {
  ...hubSettings,
  importS3Buckets: setting(
    {
      name: 'IMPORT_S3_BUCKETS',
      summary:
        'Where `s3://` imports of every tenant may read: `bucket` or `bucket/prefix`, separated by commas',
      defaultText: 'nowhere',
    },
    places,
  ),
  importConcurrency: setting(
    { name: 'IMPORT_CONCURRENCY', summary: 'Imports that one worker runs at once', defaultText: '4' },
    text.integer(4, 1, 64),
  ),
};
