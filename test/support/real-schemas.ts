/** JSON Schemas as tools and extractions send them: by hand, from pydantic, from zod, as OpenAI's strict mode wants them. */

const object = (properties: object, required = Object.keys(properties), more: object = {}) => ({
  type: 'object',
  properties,
  required,
  ...more,
});
const strict = (properties: object) => object(properties, undefined, { additionalProperties: false });
const string = { type: 'string' };
const integer = { type: 'integer' };
const nullable = (schema: object) => ({ anyOf: [schema, { type: 'null' }] });
const list = (items: object, more: object = {}) => ({ type: 'array', items, ...more });

export const REAL_SCHEMAS: Readonly<Record<string, object>> = {
  weather: object({ location: string, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } }, [
    'location',
  ]),
  'calendar event': strict({
    name: string,
    date: { type: 'string', format: 'date' },
    participants: list(string),
  }),
  'math steps': strict({
    steps: list(strict({ explanation: string, output: string })),
    final_answer: string,
  }),
  'ui tree': {
    ...strict({
      type: { type: 'string', enum: ['div', 'button', 'form'] },
      label: string,
      children: list({ $ref: '#' }, { maxItems: 3 }),
      attributes: list(strict({ name: string, value: string })),
    }),
  },
  'linked list': {
    $defs: { node: strict({ value: { type: 'number' }, next: nullable({ $ref: '#/$defs/node' }) }) },
    ...strict({ list: { $ref: '#/$defs/node' } }),
  },
  'pydantic optional': object(
    { name: { title: 'Name', type: 'string' }, age: { ...nullable(integer), default: null, title: 'Age' } },
    ['name'],
    { title: 'Person' },
  ),
  'pydantic union': object(
    {
      pet: {
        discriminator: { propertyName: 'kind' },
        oneOf: [{ $ref: '#/$defs/Cat' }, { $ref: '#/$defs/Dog' }],
      },
    },
    ['pet'],
    {
      $defs: {
        Cat: object({
          kind: { const: 'cat', type: 'string' },
          lives: { type: 'integer', minimum: 0, maximum: 9 },
        }),
        Dog: object({ kind: { const: 'dog', type: 'string' }, good: { type: 'boolean' } }),
      },
    },
  ),
  'pydantic numbers': object({
    probability: { type: 'number', minimum: 0, maximum: 1 },
    price: { type: 'number', exclusiveMinimum: 0 },
    age: { type: 'integer', exclusiveMinimum: 0, maximum: 130 },
  }),
  'pydantic map': object({ scores: { type: 'object', additionalProperties: { type: 'number' } } }),
  'pydantic tuple': object({
    point: { type: 'array', prefixItems: [{ type: 'number' }, { type: 'number' }], minItems: 2, maxItems: 2 },
  }),
  'pydantic formats': object({
    id: { type: 'string', format: 'uuid' },
    at: { type: 'string', format: 'date-time' },
    mail: { type: 'string', format: 'email' },
    home: { type: 'string', format: 'uri' },
  }),
  'zod record': {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    additionalProperties: list(integer),
  },
  sentiment: strict({
    sentiment: { enum: ['positive', 'neutral', 'negative'] },
    confidence: { type: 'number', minimum: 0, maximum: 1 },
  }),
  'named entities': strict({
    entities: list(
      strict({
        text: string,
        label: { enum: ['PER', 'ORG', 'LOC'] },
        start: { type: 'integer', minimum: 0 },
        end: { type: 'integer', minimum: 0 },
      }),
      { maxItems: 4 },
    ),
  }),
  invoice: strict({
    number: { type: 'string', pattern: '^INV-\\d{4,6}$' },
    issued: { type: 'string', format: 'date' },
    currency: { type: 'string', pattern: '^[A-Z]{3}$' },
    lines: list(
      strict({
        text: { type: 'string', minLength: 1, maxLength: 20 },
        quantity: { type: 'integer', minimum: 1 },
        price: { type: 'number', minimum: 0 },
      }),
      { minItems: 1, maxItems: 5 },
    ),
  }),
  address: object(
    {
      street: string,
      zip: { type: 'string', pattern: '^\\d{5}(-\\d{4})?$' },
      country: { type: 'string', minLength: 2, maxLength: 2 },
    },
    ['street', 'zip'],
  ),
  'sql query': strict({
    query: { type: 'string', minLength: 1 },
    limit: { type: ['integer', 'null'], minimum: 1 },
  }),
  'search filters': object({
    query: string,
    filters: list({
      anyOf: [
        strict({
          field: string,
          op: { enum: ['=', '!=', '<', '>'] },
          value: { type: ['string', 'number', 'boolean'] },
        }),
        strict({
          field: string,
          op: { const: 'in' },
          value: list({ type: ['string', 'number'] }, { minItems: 1 }),
        }),
      ],
    }),
  }),
  'tool call': {
    anyOf: [
      strict({ name: { const: 'get_weather' }, arguments: object({ city: string }) }),
      strict({
        name: { const: 'send_mail' },
        arguments: strict({ to: { type: 'string', format: 'email' }, body: string }),
      }),
    ],
  },
  'tool calls': list(
    {
      oneOf: [
        strict({
          name: { const: 'add' },
          arguments: strict({ a: { type: 'number' }, b: { type: 'number' } }),
        }),
        strict({ name: { const: 'now' }, arguments: strict({}) }),
      ],
    },
    { minItems: 1, maxItems: 3 },
  ),
  recipe: object({
    title: { type: 'string', minLength: 3 },
    servings: { type: 'integer', minimum: 1, maximum: 12 },
    ingredients: list(object({ name: string, grams: { type: 'number', minimum: 0 } }, ['name']), {
      minItems: 1,
    }),
    duration: { type: 'string', format: 'duration' },
  }),
  'yes or no': { type: 'boolean' },
  'a number': { type: 'integer', minimum: 1, maximum: 10 },
  'a list of words': list({ type: 'string', pattern: '^[a-z]+$' }, { minItems: 2, maxItems: 4 }),
  matrix: list(list({ type: 'number' }, { minItems: 2, maxItems: 2 }), { minItems: 2, maxItems: 2 }),
  expression: {
    $ref: '#/definitions/expression',
    definitions: {
      expression: {
        anyOf: [
          { type: 'number' },
          strict({
            op: { enum: ['+', '*'] },
            left: { $ref: '#/definitions/expression' },
            right: { $ref: '#/definitions/expression' },
          }),
        ],
      },
    },
  },
  'extended base': {
    allOf: [{ $ref: '#/$defs/base' }, { properties: { extra: integer }, required: ['extra'] }],
    $defs: { base: object({ id: { type: 'string', pattern: '^[a-f0-9]{8}$' } }) },
  },
  'package.json': object(
    {
      name: { type: 'string', pattern: '^[a-z][a-z0-9-]*$' },
      version: { type: 'string', pattern: '^\\d+\\.\\d+\\.\\d+$' },
      dependencies: { type: 'object', patternProperties: { '^[a-z]': string }, additionalProperties: false },
      private: { type: 'boolean' },
    },
    ['name', 'version'],
    { additionalProperties: false },
  ),
  'i18n texts': {
    type: 'object',
    propertyNames: { pattern: '^[a-z]{2}(-[A-Z]{2})?$' },
    additionalProperties: string,
    minProperties: 1,
  },
  'server settings': object(
    {
      host: {
        anyOf: [
          { type: 'string', format: 'hostname' },
          { type: 'string', format: 'ipv4' },
          { type: 'string', format: 'ipv6' },
        ],
      },
      port: { type: 'integer', minimum: 1, maximum: 65535 },
      tls: nullable(object({ cert: string, key: string })),
    },
    ['host', 'port'],
  ),
  payment: object(
    {
      amount: { type: 'integer', multipleOf: 5, minimum: 5 },
      card: string,
      cvv: { type: 'string', pattern: '^\\d{3,4}$' },
    },
    ['amount'],
    {
      dependentRequired: { card: ['cvv'] },
    },
  ),
  geojson: object({
    type: { const: 'Feature' },
    geometry: {
      oneOf: [
        object({
          type: { const: 'Point' },
          coordinates: list({ type: 'number' }, { minItems: 2, maxItems: 3 }),
        }),
        object({
          type: { const: 'LineString' },
          coordinates: list(list({ type: 'number' }, { minItems: 2, maxItems: 2 }), { minItems: 2 }),
        }),
      ],
    },
    properties: { type: ['object', 'null'] },
  }),
  'json patch': list(
    {
      oneOf: [
        object({
          op: { enum: ['add', 'replace'] },
          path: { type: 'string', format: 'json-pointer' },
          value: {},
        }),
        object({ op: { const: 'remove' }, path: { type: 'string', format: 'json-pointer' } }),
      ],
    },
    { maxItems: 3 },
  ),
  'anything at all': {},
  'any object': { type: 'object' },
  'free extras': object({ id: integer, identity: string }, ['id']),
  'keys that need escapes': strict({ 'a "b"': integer, 'é\\/': { type: 'null' }, 'new\nline': string }),
  'two of many': object({ a: integer, b: integer, c: integer, d: integer }, [], {
    minProperties: 2,
    maxProperties: 3,
    additionalProperties: false,
  }),
  'bounded text': { type: 'string', minLength: 5, maxLength: 8, pattern: '[0-9]' },
  'no spaces': { type: 'string', pattern: '^\\S+$', maxLength: 40 },
  'percent steps': { type: 'number', minimum: -12.5, exclusiveMaximum: 37.25 },
  'older tuple': { type: 'array', prefixItems: [{ const: 'at' }, integer], items: false, minItems: 2 },
}; // prettier-ignore
