import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { z } from 'zod';
import { ErrorEnvelopeSchema } from '#contracts/errors.js';
import { EXAMPLES } from './examples.js';
import { nameSchemas } from './named-schemas.js';
import { TAG_GROUPS } from './tags.js';

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
    .addServer('/', 'The server that this document came from')
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    standardSchemaConverter: convert,
    operationIdFactory: operationId,
  });
  addErrors(document);
  addIdempotencyKey(document);
  dropWildcards(document);
  groupByReader(document);
  addExamples(document);
  nameSchemas(document);
  return document;
}

/** Clients are generated with these names, so they stay: `adaptersCreate`. */
function operationId(controller: string, method: string): string {
  const name = controller.replace(/Controller$/, '');
  return `${name.charAt(0).toLowerCase()}${name.slice(1)}${method.charAt(0).toUpperCase()}${method.slice(1)}`;
}

function operationsOf(document: OpenAPIObject) {
  return Object.entries(document.paths).flatMap(
    ([path, { get, head, options, post, put, patch, delete: remove }]) =>
      Object.entries({ get, head, options, post, put, patch, delete: remove }).flatMap(
        ([method, operation]) => (operation ? [{ route: `${method.toUpperCase()} ${path}`, operation }] : []),
      ),
  );
}

function groupByReader(document: OpenAPIObject): void {
  document.tags = TAG_GROUPS.map(({ name, description }) => ({ name, description }));
  for (const { operation } of operationsOf(document)) {
    operation.tags = TAG_GROUPS.filter(({ of }) => operation.tags?.some((tag) => of.includes(tag))).map(
      ({ name }) => name,
    );
  }
}

function addExamples(document: OpenAPIObject): void {
  for (const { route, operation } of operationsOf(document)) {
    const body = operation.requestBody;
    const json = body && 'content' in body ? body.content['application/json'] : undefined;
    if (json && route in EXAMPLES) json.example = EXAMPLES[route];
  }
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

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header' as const,
  required: false,
  description: 'The same request with the same key is done once, and answered as the first time.',
  schema: { type: 'string' as const, minLength: 1, maxLength: 255 },
};
/** Their callers have no key, or go on by a protocol of their own. */
const WITHOUT_IDEMPOTENCY = new Set([
  'POST /v1/session',
  'POST /v1/hooks/fine-tune/{id}',
  'POST /v1/uploads',
]);

function addIdempotencyKey(document: OpenAPIObject): void {
  for (const { route, operation } of operationsOf(document)) {
    if (!route.startsWith('POST ') || WITHOUT_IDEMPOTENCY.has(route)) continue;
    operation.parameters = [...(operation.parameters ?? []), IDEMPOTENCY_KEY];
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
  for (const { operation } of operationsOf(document))
    operation.responses = { ...operation.responses, default: answer };
}
