import { StructureError } from '../errors.js';
import type { JsonValue } from '../json/spelling.js';
import { isObject, type Schema, type SchemaDocument } from './document.js';

/** The value of a keyword; undefined where it is absent. */
export function keyword(schema: Schema, name: string): unknown {
  const { body } = schema;
  return typeof body === 'object' && Object.hasOwn(body, name) ? body[name] : undefined;
}

export const hasKeyword = (schema: Schema, name: string): boolean => keyword(schema, name) !== undefined;

function malformed(schema: Schema, name: string, expected: string): StructureError {
  return new StructureError('invalid', `${name}: expected ${expected}`, name, schema.pointer);
}

/** A number of characters, items or members. */
export function countOf(schema: Schema, name: string): number | undefined {
  const value = keyword(schema, name);
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || (value as number) < 0)
    throw malformed(schema, name, 'a whole number, not negative');
  return value as number;
}

export function numberOf(schema: Schema, name: string): number | undefined {
  const value = keyword(schema, name);
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw malformed(schema, name, 'a number');
  return value;
}

export function stringOf(schema: Schema, name: string): string | undefined {
  const value = keyword(schema, name);
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw malformed(schema, name, 'a string');
  return value;
}

export function namesOf(schema: Schema, name: string): readonly string[] {
  const value = keyword(schema, name);
  if (value === undefined) return [];
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'string'))
    throw malformed(schema, name, 'an array of strings');
  return value;
}

export function valuesOf(schema: Schema, name: string): readonly JsonValue[] | undefined {
  const value = keyword(schema, name);
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw malformed(schema, name, 'an array');
  return value as JsonValue[];
}

export function schemaOf(document: SchemaDocument, schema: Schema, name: string): Schema | undefined {
  return hasKeyword(schema, name) ? document.below(schema, name) : undefined;
}

export function schemasOf(document: SchemaDocument, schema: Schema, name: string): readonly Schema[] {
  const value = keyword(schema, name);
  if (value === undefined) return [];
  if (!Array.isArray(value) || (value.length === 0 && name !== 'items' && name !== 'prefixItems'))
    throw malformed(schema, name, 'an array of schemas');
  return value.map((_, index) => document.below(schema, name, index));
}

export function schemaMapOf(
  document: SchemaDocument,
  schema: Schema,
  name: string,
): ReadonlyMap<string, Schema> {
  const value = keyword(schema, name);
  if (value === undefined) return new Map();
  if (!isObject(value)) throw malformed(schema, name, 'an object of schemas');
  return new Map(Object.keys(value).map((key) => [key, document.below(schema, name, key)]));
}
