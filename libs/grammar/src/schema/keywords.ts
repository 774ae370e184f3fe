/*
 * What becomes of each keyword; docs/structured-output.md is held equal to this by a test.
 */

/** Every answer keeps them. */
export const ENFORCED_KEYWORDS: Readonly<Record<string, string>> = {
  type: '',
  enum: 'the values that the other keywords allow, as JSON text in the order of their members',
  const: 'as `enum`',
  minLength: 'characters, however they are spelled',
  maxLength: '',
  pattern: 'regular: no look-around, back reference, `\\b`; as with the flag `u`',
  format: 'those of the list below',
  minimum: '',
  maximum: '',
  exclusiveMinimum: '',
  exclusiveMaximum: '',
  multipleOf: 'whole numbers up to 1000 and powers of ten up to 10^15',
  prefixItems: '',
  items: 'a list too, as in draft 7',
  additionalItems: '',
  minItems: '',
  maxItems: '',
  properties: 'members come in the order in which they are declared, others behind them',
  required: '',
  additionalProperties: '',
  patternProperties: 'up to 5 patterns for one object',
  propertyNames: '',
  minProperties: 'members without declared names count as one, as they may repeat a name',
  maxProperties: '',
  $ref: 'JSON pointers within the schema; other keywords beside it hold too',
  allOf: '',
  anyOf: '',
  oneOf: 'where no value can fit two of its schemas: by types, constants, ranges, required members',
  dependentRequired: '',
  dependentSchemas: '',
  dependencies: '',
};

/** Refused, except where they cannot matter: for other types than the schema allows, beside `enum` and `const`, or as noted. */
export const REFUSED_KEYWORDS: Readonly<Record<string, string>> = {
  not: 'but for `true`, `false`, `{}` and `{"type": ...}`',
  if: 'but without `then` and `else`',
  contains: '',
  uniqueItems: 'but for `false`, or with at most one item',
  unevaluatedItems: 'but for `true`, or beside no other schema of the same value, where it is as `items`',
  unevaluatedProperties:
    'but for `true`, or beside no other schema of the same value, where it is as `additionalProperties`',
  $dynamicRef: '',
  $recursiveRef: '',
};

/** They say nothing about which values are valid. So does every keyword that is not in a list. */
export const IGNORED_KEYWORDS: readonly string[] = [
  '$schema',
  '$id',
  '$anchor',
  '$comment',
  '$defs',
  'definitions',
  '$vocabulary',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  'nullable',
  'contentEncoding',
  'contentMediaType',
  'contentSchema',
  'minContains',
  'maxContains',
  'then',
  'else',
];
