import type { OpenAPIObject } from '@nestjs/swagger';

type Json = Record<string, unknown>;
interface Operation {
  readonly operationId?: string;
  readonly requestBody?: unknown;
  readonly responses?: unknown;
}

/**
 * Moves the schemas of requests and answers from the routes to `components`, under names that a generated client can
 * use: `Adapter`, `AdapterList`, `AdaptersCreateRequest`. Equal schemas share one name.
 */
export function nameSchemas(document: OpenAPIObject): void {
  const names = new SchemaNames();
  for (const path of Object.values(document.paths)) {
    for (const operation of Object.values(path) as Operation[]) {
      const id = pascal(operation?.operationId ?? '');
      if (id === '') continue;
      nameBody(operation.requestBody, (schema) => names.ref(schema, `${id}Request`));
      for (const answer of Object.values((operation.responses ?? {}) as Json))
        nameBody(answer, (schema) => names.answer(schema, `${id}Response`));
    }
  }
  document.components = {
    ...document.components,
    schemas: { ...document.components?.schemas, ...names.schemas } as NonNullable<
      NonNullable<OpenAPIObject['components']>['schemas']
    >,
  };
}

/** Replaces the JSON schemas of one body. */
function nameBody(body: unknown, named: (schema: Json) => unknown): void {
  const { content } = (body ?? {}) as { content?: Record<string, { schema?: Json }> };
  const json = content?.['application/json'];
  if (json?.schema !== undefined && json.schema.$ref === undefined && isObject(json.schema))
    json.schema = named(json.schema) as Json;
}

const isObject = (schema: Json) =>
  schema.type === 'object' || schema.anyOf !== undefined || schema.oneOf !== undefined;

/** The one value that a schema allows. */
function constantOf(schema: Json | undefined): unknown {
  const values = schema?.enum;
  return schema?.const ?? (Array.isArray(values) && values.length === 1 ? (values[0] as unknown) : undefined);
}

class SchemaNames {
  readonly schemas: Record<string, Json> = {};
  readonly #nameOf = new Map<string, string>();

  /** A resource is named by its `object`, a list by what it lists, anything else by its route. */
  answer(schema: Json, otherwise: string): Json {
    const properties = (schema.properties ?? {}) as Record<string, Json | undefined>;
    const kind = constantOf(properties.object);
    const items = properties.data?.items as Json | undefined;
    if (kind === 'list' && items !== undefined && isObject(items) && items.$ref === undefined) {
      const item = this.answer(items, otherwise.replace(/Response$/, 'Item'));
      const list = { ...schema, properties: { ...properties, data: { ...properties.data, items: item } } };
      return this.ref(list, `${String(item.$ref).split('/').at(-1)}List`);
    }
    return this.ref(schema, typeof kind === 'string' ? pascal(kind) : otherwise, otherwise);
  }

  /** Under `name`, or `other` where that means something else already. */
  ref(schema: Json, name: string, other = name): Json {
    const text = JSON.stringify(schema);
    let found = this.#nameOf.get(text);
    if (found === undefined) {
      found = this.schemas[name] === undefined ? name : other;
      for (let number = 2; this.schemas[found] !== undefined; number += 1) found = `${other}${number}`;
      this.schemas[found] = schema;
      this.#nameOf.set(text, found);
    }
    return { $ref: `#/components/schemas/${found}` };
  }
}

/** `adapter.version` and `adaptersCreate` as `AdapterVersion` and `AdaptersCreate`. */
function pascal(text: string): string {
  return text
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}
