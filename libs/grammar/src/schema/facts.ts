import type { NumberBound, NumberFacts } from '../json/numbers.js';
import type { JsonValue } from '../json/spelling.js';
import { StructureError } from '../errors.js';
import type { Conjuncts } from './alternatives.js';
import { possibleTypes } from './alternatives.js';
import type { Schema, SchemaDocument } from './document.js';
import {
  countOf,
  hasKeyword,
  keyword,
  numberOf,
  schemaMapOf,
  schemaOf,
  schemasOf,
  stringOf,
  namesOf,
  valuesOf,
} from './keyword-values.js';
import { type JsonType, typesNamed } from './types.js';

export interface StringFacts {
  readonly min: number;
  readonly max?: number;
  readonly patterns: readonly { readonly source: string; readonly at: Schema }[];
  readonly formats: readonly { readonly name: string; readonly at: Schema }[];
}

export interface ArrayFacts {
  readonly min: number;
  readonly max?: number;
  /** Of each schema with a say on items: those of the first ones, and of all behind them. */
  readonly groups: readonly { readonly prefix: readonly Schema[]; readonly rest?: Schema }[];
}

export interface MemberGroup {
  readonly properties: ReadonlyMap<string, Schema>;
  readonly patterns: ReadonlyMap<string, Schema>;
  readonly at: Schema;
  /** Of members that neither names. */
  readonly additional?: Schema;
}

export interface ObjectFacts {
  readonly min: number;
  readonly max?: number;
  readonly required: ReadonlySet<string>;
  /** Of names. */
  readonly names: readonly Schema[];
  readonly groups: readonly MemberGroup[];
}

/** What plain conjuncts say together, by type. Of other types than `types` nothing is to be read. */
export interface Facts {
  readonly types: ReadonlySet<JsonType>;
  /** By `enum` and `const`: one of these, of those that the other keywords allow. */
  readonly values?: readonly JsonValue[];
  readonly number: NumberFacts;
  readonly string: StringFacts;
  readonly array: ArrayFacts;
  readonly object: ObjectFacts;
}

export function factsOf(conjuncts: Conjuncts, document: SchemaDocument): Facts {
  const values = conjuncts
    .flatMap((schema) => [
      valuesOf(schema, 'enum'),
      hasKeyword(schema, 'const') ? [keyword(schema, 'const') as JsonValue] : undefined,
    ])
    .find((each) => each !== undefined);
  return {
    types: possibleTypes(conjuncts),
    ...(values && { values }),
    number: numberFacts(conjuncts),
    string: stringFacts(conjuncts),
    array: arrayFacts(conjuncts, document),
    object: objectFacts(conjuncts, document),
  };
}

/** The narrowest of the bounds that a keyword sets. */
function least(conjuncts: Conjuncts, name: string): { max?: number } {
  const all = conjuncts.map((schema) => countOf(schema, name)).filter((count) => count !== undefined);
  return all.length === 0 ? {} : { max: Math.min(...all) };
}

const most = (conjuncts: Conjuncts, name: string): number =>
  Math.max(0, ...conjuncts.map((schema) => countOf(schema, name) ?? 0));

function numberFacts(conjuncts: Conjuncts): NumberFacts {
  let integer = false;
  let min: NumberBound | undefined;
  let max: NumberBound | undefined;
  let multipleOf: number | undefined;
  const raise = (value: number | undefined, exclusive: boolean) => {
    if (value !== undefined && (min === undefined || value > min.value || (value === min.value && exclusive)))
      min = { value, exclusive };
  };
  const lower = (value: number | undefined, exclusive: boolean) => {
    if (value !== undefined && (max === undefined || value < max.value || (value === max.value && exclusive)))
      max = { value, exclusive };
  };
  for (const schema of conjuncts) {
    const named = typesNamed(schema);
    if (named?.includes('integer') && !named.includes('number')) integer = true;
    raise(numberOf(schema, 'minimum'), false);
    raise(numberOf(schema, 'exclusiveMinimum'), true);
    lower(numberOf(schema, 'maximum'), false);
    lower(numberOf(schema, 'exclusiveMaximum'), true);
    const bits = { int32: 31, int64: 63 }[stringOf(schema, 'format') ?? ''];
    if (bits !== undefined) {
      integer = true;
      raise(-(2 ** bits), false);
      // The greatest of 64 bits is no double: readers would round it up.
      lower(bits === 31 ? 2 ** 31 - 1 : 2 ** 63 - 1024, false);
    }
    const divisor = numberOf(schema, 'multipleOf');
    if (divisor !== undefined) multipleOf = commonMultiple(multipleOf, divisor, schema);
  }
  if (multipleOf !== undefined) integer = true;
  return { integer, ...(min && { min }), ...(max && { max }), ...(multipleOf && { multipleOf }) };
}

function commonMultiple(before: number | undefined, divisor: number, at: Schema): number {
  if (divisor <= 0)
    throw new StructureError('invalid', 'multipleOf: expected more than 0', 'multipleOf', at.pointer);
  const isPowerOfTen = /^10*$/.test(String(divisor)) && divisor <= 1e15;
  const product = before === undefined ? divisor : (before / gcd(before, divisor)) * divisor;
  if (Number.isInteger(divisor) && (product <= 1000 || (isPowerOfTen && product === divisor))) return product;
  throw new StructureError(
    'unsupported',
    'multipleOf: only whole numbers up to 1000 and powers of ten can be enforced',
    'multipleOf',
    at.pointer,
  );
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

function stringFacts(conjuncts: Conjuncts): StringFacts {
  const texts = (name: string) =>
    conjuncts.flatMap((at) => {
      const source = stringOf(at, name);
      return source === undefined ? [] : [{ source, name: source, at }];
    });
  return {
    min: most(conjuncts, 'minLength'),
    ...least(conjuncts, 'maxLength'),
    patterns: texts('pattern'),
    formats: texts('format'),
  };
}

function arrayFacts(conjuncts: Conjuncts, document: SchemaDocument): ArrayFacts {
  const groups = conjuncts.flatMap((schema) => {
    const isList = Array.isArray(keyword(schema, 'items'));
    const prefix = schemasOf(document, schema, isList ? 'items' : 'prefixItems');
    const restName = isList ? 'additionalItems' : 'items';
    const rest =
      schemaOf(document, schema, restName) ??
      (hasKeyword(schema, 'unevaluatedItems') ? schemaOf(document, schema, 'unevaluatedItems') : undefined);
    return prefix.length === 0 && rest === undefined ? [] : [{ prefix, ...(rest && { rest }) }];
  });
  return { min: most(conjuncts, 'minItems'), ...least(conjuncts, 'maxItems'), groups };
}

function objectFacts(conjuncts: Conjuncts, document: SchemaDocument): ObjectFacts {
  const groups = conjuncts.flatMap((schema) => {
    const properties = schemaMapOf(document, schema, 'properties');
    const patterns = schemaMapOf(document, schema, 'patternProperties');
    const additional =
      schemaOf(document, schema, 'additionalProperties') ??
      schemaOf(document, schema, 'unevaluatedProperties');
    return properties.size + patterns.size === 0 && additional === undefined
      ? []
      : [{ properties, patterns, at: schema, ...(additional && { additional }) }];
  });
  return {
    min: most(conjuncts, 'minProperties'),
    ...least(conjuncts, 'maxProperties'),
    required: new Set(conjuncts.flatMap((schema) => namesOf(schema, 'required'))),
    names: conjuncts.flatMap((schema) => schemaOf(document, schema, 'propertyNames') ?? []),
    groups,
  };
}

/** What holds for the item at `index`; behind all prefixes it is the same for all. */
export function itemConjuncts(facts: ArrayFacts, index: number): readonly Schema[] {
  return facts.groups.flatMap(({ prefix, rest }) => prefix[index] ?? rest ?? []);
}

/** What holds for the value of a member, where `fits` says whether the name matches a pattern. */
export function memberConjuncts(
  facts: ObjectFacts,
  name: string | undefined,
  fits: (pattern: string, at: Schema) => boolean,
): readonly Schema[] {
  return facts.groups.flatMap(({ properties, patterns, at, additional }) => {
    const own = name === undefined ? undefined : properties.get(name);
    const found = [...patterns].flatMap(([pattern, schema]) => (fits(pattern, at) ? [schema] : []));
    if (own !== undefined) found.push(own);
    return found.length > 0 ? found : (additional ?? []);
  });
}
