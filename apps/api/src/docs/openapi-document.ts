import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { z } from 'zod';
import { ErrorEnvelopeSchema } from '#contracts/errors.js';

const DESCRIPTION = `One base model, thousands of LoRA adapters, many tenants.

Authorize with a tenant's key, or with an operator's key and the header \`x-tenant\`. Errors have OpenAI's envelope; their
codes are a closed list. Every answer carries \`x-request-id\`.`;

/** The OpenAPI 3.1 document of every route, from the same schemas that check requests. */
export function makeOpenApiDocument(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Lorikeet')
    .setDescription(DESCRIPTION)
    .setVersion('1')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'An API key' }, 'key')
    .addSecurityRequirements('key')
    .build();
  const document = SwaggerModule.createDocument(app, config, { standardSchemaConverter: convert });
  addErrors(document);
  dropWildcards(document);
  return document;
}

/** zod's own JSON Schema, which OpenAPI 3.1 takes as it is. */
function convert(schema: unknown, { schemaType }: { schemaType: 'input' | 'output' }) {
  if (!(schema instanceof z.ZodType)) return undefined;
  const { $schema: _, ...converted } = z.toJSONSchema(schema, { io: schemaType, unrepresentable: 'any' });
  return { schema: converted };
}

/** A route `/models/*` becomes `/models/{path}`, yet keeps a parameter `*` that OpenAPI knows nothing of. */
function dropWildcards(document: OpenAPIObject): void {
  for (const { get } of Object.values(document.paths)) {
    if (get?.parameters)
      get.parameters = get.parameters.filter((each) => !('name' in each && each.name === '*'));
  }
}

/** Any route may answer with the error envelope. */
function addErrors(document: OpenAPIObject): void {
  const { $schema: _, ...Error } = z.toJSONSchema(ErrorEnvelopeSchema);
  document.components = {
    ...document.components,
    schemas: { ...document.components?.schemas, Error: Error as object },
  };
  const answer = {
    description: 'An error',
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
  };
  for (const path of Object.values(document.paths)) {
    const { get, head, options, post, put, patch, delete: remove } = path;
    for (const operation of [get, head, options, post, put, patch, remove]) {
      if (operation) operation.responses = { ...operation.responses, default: answer };
    }
  }
}
