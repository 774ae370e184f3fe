import type { ApiBodyOptions } from '@nestjs/swagger';
import { ImportVersionSchema } from '#contracts/adapters-api.js';
import { z } from 'zod';

const file = { type: 'string', format: 'binary' };

const { $schema: _, ...importBody } = z.toJSONSchema(ImportVersionSchema, { io: 'input' });

/** The body of an upload as OpenAPI shows it: the files themselves, or (as JSON) where they are. */
export const UPLOAD_BODY: ApiBodyOptions = {
  schema: {
    oneOf: [
      {
        type: 'object',
        description: 'multipart/form-data',
        required: ['adapter_config.json', 'adapter_model.safetensors'],
        properties: {
          'adapter_config.json': file,
          'adapter_model.safetensors': file,
          'chat_template.jinja': file,
          'generation_config.json': file,
          'README.md': file,
          metadata: {
            type: 'string',
            description:
              'JSON: {"description"?: string, "labels"?: {name: value}, "parents"?: [version], "training_job"?: string, "metrics"?: {name: value}}',
          },
        },
      },
      { ...(importBody as object), description: 'application/json' },
    ],
  },
};
