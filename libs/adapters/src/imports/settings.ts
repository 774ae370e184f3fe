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
  hfEndpoint: setting(
    {
      name: 'HF_ENDPOINT',
      summary: 'The Hub behind `hf://` imports; may be a private address',
      defaultText: 'https://huggingface.co',
    },
    text.url('https://huggingface.co', ['https:', 'http:']),
  ),
  hfToken: setting(
    {
      name: 'HF_TOKEN',
      summary: "The Hub's token for every tenant's `hf://` imports; give it only what all tenants may read",
      secret: true,
    },
    text.optional(),
  ),
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
