import { StructureError } from '../errors.js';
import type { JsonValue } from '../json/spelling.js';
import { isObject, type Schema } from './document.js';
import { keyword } from './keyword-values.js';

export const JSON_TYPES = ['null', 'boolean', 'number', 'string', 'array', 'object'] as const;
export type JsonType = (typeof JSON_TYPES)[number];

/** The types that a schema's `type` names; `integer` besides is a number. */
export function typesNamed(schema: Schema): readonly (JsonType | 'integer')[] | undefined {
  const value = keyword(schema, 'type');
  if (value === undefined) return undefined;
  const list = (Array.isArray(value) ? value : [value]) as (JsonType | 'integer')[];
  for (const each of list)
    if (each !== 'integer' && !JSON_TYPES.includes(each))
      throw new StructureError(
        'invalid',
        `type: expected one of integer, ${JSON_TYPES.join(', ')}`,
        'type',
        schema.pointer,
      );
  return list;
}

export function typeOf(value: JsonValue): JsonType {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value as JsonType;
}

/** The types that a `not` of nothing else names; undefined: it is of another kind, or absent. */
export function notTypes(schema: Schema): readonly (JsonType | 'integer')[] | undefined {
  const not = keyword(schema, 'not');
  if (!isObject(not) || Object.keys(not).join() !== 'type') return undefined;
  return typesNamed({ pointer: `${schema.pointer}/not`, body: not });
}
