import type { ApiBodyOptions } from '@nestjs/swagger';

/** The parts of an upload to /v1/files, for the OpenAPI document. */
export const FILE_BODY: ApiBodyOptions = {
  required: true,
  schema: {
    type: 'object',
    required: ['file', 'purpose'],
    properties: {
      file: { type: 'string', format: 'binary', description: 'JSON lines, with a file name' },
      purpose: { type: 'string', enum: ['batch'] },
      'expires_after[anchor]': { type: 'string', enum: ['created_at'] },
      'expires_after[seconds]': { type: 'integer', minimum: 3_600, maximum: 2_592_000 },
    },
  },
};
