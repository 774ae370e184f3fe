import type { ApiBodyOptions } from '@nestjs/swagger';

const file = { type: 'string', format: 'binary' };

/** The multipart body of an upload as OpenAPI shows it. */
export const UPLOAD_BODY: ApiBodyOptions = {
  schema: {
    type: 'object',
    required: ['adapter_config.json', 'adapter_model.safetensors'],
    properties: {
      'adapter_config.json': file,
      'adapter_model.safetensors': file,
      'chat_template.jinja': file,
      'generation_config.json': file,
      'README.md': file,
      metadata: {
        type: 'string',
        description: 'JSON: {"description"?, "labels"?, "parents"?, "training_job"?, "metrics"?} as in PATCH',
      },
    },
  },
};
