import type { Budget } from '../budget.js';
import { decimalOf } from '../json/number-text.js';
import type { JsonValue } from '../json/spelling.js';
import { isObject, type Schema, type SchemaDocument } from './document.js';
import {
  countOf,
  hasKeyword,
  keyword,
  namesOf,
  numberOf,
  schemaMapOf,
  schemaOf,
  schemasOf,
  stringOf,
  valuesOf,
} from './keyword-values.js';
import type { StringLanguages } from './string-languages.js';
import { typeOf, typesNamed } from './types.js';

/** Judges given values, those of `enum` and `const`, by the other keywords. */
export class Evaluator {
  #depth = 0;

  constructor(
    private readonly document: SchemaDocument,
    private readonly languages: StringLanguages,
    private readonly budget: Budget,
  ) {}

  /** Whether the value fits what `schema` says, in the schemas that it refers to as well. */
  fits(value: JsonValue, schema: Schema): boolean {
    this.budget.work(20);
    if (typeof schema.body === 'boolean') return schema.body;
    // A schema that refers to itself for the same value adds nothing.
    if (++this.#depth > 200) return this.#leave(true);
    return this.#leave(
      this.#fitsItself(value, schema) && this.#fitsInPlace(value, schema) && this.#fitsByType(value, schema),
    );
  }

  #leave(result: boolean): boolean {
    this.#depth--;
    return result;
  }

  #fitsItself(value: JsonValue, schema: Schema): boolean {
    const types = typesNamed(schema);
    const type = typeOf(value);
    const isInteger = typeof value === 'number' && Number.isInteger(value);
    if (types && !types.includes(type) && !(isInteger && types.includes('integer'))) return false;
    if (hasKeyword(schema, 'const') && !isEqual(value, keyword(schema, 'const') as JsonValue)) return false;
    const values = valuesOf(schema, 'enum');
    return values === undefined || values.some((each) => isEqual(each, value));
  }

  #fitsInPlace(value: JsonValue, schema: Schema): boolean {
    const { document } = this;
    const fits = (each: Schema) => this.fits(value, each);
    const condition = schemaOf(document, schema, 'if');
    const not = schemaOf(document, schema, 'not');
    const consequence =
      condition && schemaOf(document, schema, this.fits(value, condition) ? 'then' : 'else');
    return (
      (!hasKeyword(schema, '$ref') || fits(document.resolve(schema, keyword(schema, '$ref')))) &&
      schemasOf(document, schema, 'allOf').every(fits) &&
      (!hasKeyword(schema, 'anyOf') || schemasOf(document, schema, 'anyOf').some(fits)) &&
      (!hasKeyword(schema, 'oneOf') || schemasOf(document, schema, 'oneOf').filter(fits).length === 1) &&
      (not === undefined || !fits(not)) &&
      (consequence === undefined || fits(consequence))
    );
  }

  #fitsByType(value: JsonValue, schema: Schema): boolean {
    if (typeof value === 'number') return this.#fitsNumber(value, schema);
    if (typeof value === 'string') return this.#fitsString(value, schema);
    if (Array.isArray(value)) return this.#fitsArray(value as readonly JsonValue[], schema);
    return !isObject(value) || this.#fitsObject(value as Readonly<Record<string, JsonValue>>, schema);
  }

  #fitsNumber(value: number, schema: Schema): boolean {
    const divisor = numberOf(schema, 'multipleOf');
    const format = stringOf(schema, 'format');
    const bits = format === 'int32' ? 31 : format === 'int64' ? 63 : undefined;
    return (
      value >= (numberOf(schema, 'minimum') ?? -Infinity) &&
      value <= (numberOf(schema, 'maximum') ?? Infinity) &&
      value > (numberOf(schema, 'exclusiveMinimum') ?? -Infinity) &&
      value < (numberOf(schema, 'exclusiveMaximum') ?? Infinity) &&
      (divisor === undefined || isMultiple(value, divisor)) &&
      (bits === undefined || (Number.isInteger(value) && value >= -(2 ** bits) && value < 2 ** bits))
    );
  }

  #fitsString(value: string, schema: Schema): boolean {
    const { length } = [...value];
    const pattern = stringOf(schema, 'pattern');
    const format = stringOf(schema, 'format');
    return (
      length >= (countOf(schema, 'minLength') ?? 0) &&
      length <= (countOf(schema, 'maxLength') ?? Infinity) &&
      (pattern === undefined || this.languages.matchesPattern(value, pattern, schema)) &&
      (format === undefined || this.languages.matchesFormat(value, format, schema))
    );
  }

  #fitsArray(value: readonly JsonValue[], schema: Schema): boolean {
    const isList = Array.isArray(keyword(schema, 'items'));
    const prefix = schemasOf(this.document, schema, isList ? 'items' : 'prefixItems');
    const rest = schemaOf(this.document, schema, isList ? 'additionalItems' : 'items');
    const contained = schemaOf(this.document, schema, 'contains');
    const matching = contained && value.filter((item) => this.fits(item, contained)).length;
    return (
      value.length >= (countOf(schema, 'minItems') ?? 0) &&
      value.length <= (countOf(schema, 'maxItems') ?? Infinity) &&
      value.every((item, index) => {
        const own = prefix[index] ?? rest;
        return own === undefined || this.fits(item, own);
      }) &&
      (matching === undefined ||
        (matching >= (countOf(schema, 'minContains') ?? 1) &&
          matching <= (countOf(schema, 'maxContains') ?? Infinity))) &&
      (keyword(schema, 'uniqueItems') !== true ||
        value.every((item, index) => !value.slice(0, index).some((other) => isEqual(item, other))))
    );
  }

  #fitsObject(value: Readonly<Record<string, JsonValue>>, schema: Schema): boolean {
    const { document } = this;
    const names = Object.keys(value);
    const has = (name: string) => Object.hasOwn(value, name);
    const properties = schemaMapOf(document, schema, 'properties');
    const patterns = [...schemaMapOf(document, schema, 'patternProperties')];
    const additional = schemaOf(document, schema, 'additionalProperties');
    const nameSchema = schemaOf(document, schema, 'propertyNames');
    return (
      names.length >= (countOf(schema, 'minProperties') ?? 0) &&
      names.length <= (countOf(schema, 'maxProperties') ?? Infinity) &&
      namesOf(schema, 'required').every(has) &&
      names.every((name) => {
        if (nameSchema && !this.fits(name, nameSchema)) return false;
        const found = patterns.flatMap(([pattern, each]) =>
          this.languages.matchesPattern(name, pattern, schema) ? [each] : [],
        );
        const own = properties.get(name);
        if (own) found.push(own);
        if (found.length === 0 && additional) found.push(additional);
        return found.every((each) => this.fits(value[name] as JsonValue, each));
      }) &&
      this.#fitsDependencies(value, schema)
    );
  }

  #fitsDependencies(value: Readonly<Record<string, JsonValue>>, schema: Schema): boolean {
    for (const name of ['dependentRequired', 'dependentSchemas', 'dependencies']) {
      const dependencies = keyword(schema, name);
      if (!isObject(dependencies)) continue;
      for (const [member, consequence] of Object.entries(dependencies)) {
        if (!Object.hasOwn(value, member)) continue;
        const fits = Array.isArray(consequence)
          ? consequence.every((each) => Object.hasOwn(value, each as string))
          : this.fits(value, this.document.below(schema, name, member));
        if (!fits) return false;
      }
    }
    return true;
  }
}

/** By decimals and by doubles: validators differ in which they take. */
function isMultiple(value: number, divisor: number): boolean {
  if (!Number.isInteger(value / divisor)) return false;
  const [a, b] = [decimalOf(value), decimalOf(divisor)];
  const places = Math.max(a.fraction.length, b.fraction.length);
  if (places > 400) return false;
  const scaled = (decimal: typeof a) => BigInt(decimal.whole + decimal.fraction.padEnd(places, '0'));
  return scaled(a) % scaled(b) === 0n;
}

/** As JSON Schema compares: members in any order. */
export function isEqual(a: JsonValue, b: JsonValue): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.entries(a), Object.entries(b)];
  return (
    left.length === right.length &&
    left.every(
      ([name, value]) =>
        Object.hasOwn(b, name) &&
        isEqual(value as JsonValue, (b as Record<string, JsonValue>)[name] as JsonValue),
    )
  );
}
