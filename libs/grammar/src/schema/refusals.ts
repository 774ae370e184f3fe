import { StructureError } from '../errors.js';
import type { Conjuncts } from './alternatives.js';
import { isObject, type Schema } from './document.js';
import type { Facts } from './facts.js';
import { hasKeyword, keyword } from './keyword-values.js';
import { notTypes } from './types.js';

const IN_PLACE = ['$ref', 'allOf', 'anyOf', 'oneOf', 'if', 'dependentSchemas', 'not'];

/** Throws for a keyword that says something about the values of these facts and cannot be enforced. */
export function refuseUnenforced(conjuncts: Conjuncts, facts: Facts): void {
  for (const schema of conjuncts) {
    for (const name of ['$dynamicRef', '$recursiveRef'])
      if (hasKeyword(schema, name)) throw unenforced(name, schema);
    refuseConditions(schema);
    if (facts.types.has('array')) refuseOfArrays(schema, facts, conjuncts.length);
    if (facts.types.has('object') && isUnevaluated(schema, 'unevaluatedProperties', conjuncts.length))
      throw unenforced('unevaluatedProperties', schema);
  }
}

function refuseConditions(schema: Schema): void {
  const not = keyword(schema, 'not');
  // Of everything and of nothing were seen before.
  const isPlain =
    typeof not === 'boolean' || not === undefined || (isObject(not) && Object.keys(not).length === 0);
  if (!isPlain) {
    const types = notTypes(schema);
    if (types === undefined || (types.includes('integer') && !types.includes('number')))
      throw unenforced('not', schema);
  }
  if (hasKeyword(schema, 'if') && (hasKeyword(schema, 'then') || hasKeyword(schema, 'else')))
    throw unenforced('if', schema);
}

function refuseOfArrays(schema: Schema, facts: Facts, together: number): void {
  const most = facts.array.max ?? Infinity;
  if (hasKeyword(schema, 'contains') && keyword(schema, 'minContains') !== 0)
    throw unenforced('contains', schema);
  if (hasKeyword(schema, 'contains') && hasKeyword(schema, 'maxContains'))
    throw unenforced('maxContains', schema);
  if (keyword(schema, 'uniqueItems') === true && most > 1) throw unenforced('uniqueItems', schema);
  if (isUnevaluated(schema, 'unevaluatedItems', together)) throw unenforced('unevaluatedItems', schema);
}

/** Whether what it means depends on other schemas of the same value. */
function isUnevaluated(schema: Schema, name: string, together: number): boolean {
  const value = keyword(schema, name);
  if (value === undefined || value === true) return false;
  return together > 1 || IN_PLACE.some((each) => hasKeyword(schema, each));
}

function unenforced(name: string, schema: Schema): StructureError {
  return new StructureError('unsupported', `${name}: cannot be enforced`, name, schema.pointer);
}
