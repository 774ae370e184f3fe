import type { Budget } from '../budget.js';
import { StructureError } from '../errors.js';
import { isObject, type Schema, type SchemaDocument } from './document.js';
import { hasKeyword, keyword, namesOf, schemaMapOf, schemasOf } from './keyword-values.js';
import { JSON_TYPES, type JsonType, notTypes, typesNamed } from './types.js';

/** Schemas that hold together, of which only the keywords that speak of the value itself are meant. */
export type Conjuncts = readonly Schema[];

interface Choice {
  readonly keyword: 'anyOf' | 'oneOf';
  readonly at: Schema;
  /** Of each: schemas that hold together. */
  readonly branches: readonly (readonly Schema[])[];
}

const MOST_ALTERNATIVES = 512;

interface Expansion {
  readonly conjuncts: ReadonlyMap<string, Schema>;
  readonly choices: readonly Choice[];
}

/** Follows references and in-place schemas: from schemas that hold together to alternatives, each a list of plain conjuncts. */
export class Alternatives {
  constructor(
    private readonly document: SchemaDocument,
    private readonly budget: Budget,
    /** Whether it is sure that no value fits them all. */
    private readonly isDisjoint: (schemas: readonly Schema[]) => boolean,
  ) {}

  /** A value fits all of `schemas` if and only if it fits all of one alternative. `loosely`: `oneOf` taken as `anyOf`. */
  of(schemas: readonly Schema[], loosely = false): Conjuncts[] {
    const expansion = this.#expand(schemas, { conjuncts: new Map(), choices: [] });
    return expansion === undefined ? [] : this.#distribute(expansion, loosely);
  }

  #distribute({ conjuncts, choices }: Expansion, loosely: boolean): Conjuncts[] {
    const [first, ...rest] = choices;
    const own = [...conjuncts.values()];
    if (first === undefined) return possibleTypes(own).size === 0 ? [] : [own];
    if (first.keyword === 'oneOf' && !loosely) this.#requireDisjoint(first, own);
    const found: Conjuncts[] = [];
    for (const branch of first.branches) {
      this.budget.work(50);
      const expansion = this.#expand(branch, { conjuncts, choices: rest });
      if (expansion === undefined || possibleTypes([...expansion.conjuncts.values()]).size === 0) continue;
      found.push(...this.#distribute(expansion, loosely));
      if (found.length > MOST_ALTERNATIVES)
        throw new StructureError(
          'too_large',
          `${first.keyword}: more than ${MOST_ALTERNATIVES} combinations`,
          first.keyword,
          first.at.pointer,
        );
    }
    return found;
  }

  #requireDisjoint({ at, branches }: Choice, context: Conjuncts): void {
    for (const [i, one] of branches.entries())
      for (const other of branches.slice(i + 1))
        if (!this.isDisjoint([...one, ...other, ...context]))
          throw new StructureError(
            'unsupported',
            'oneOf: a value might fit two of its schemas; use anyOf, or tell them apart by a required constant',
            'oneOf',
            at.pointer,
          );
  }

  /** `before` and all that `schemas` say; undefined: nothing fits. */
  #expand(schemas: readonly Schema[], before: Expansion): Expansion | undefined {
    const conjuncts = new Map(before.conjuncts);
    const choices = [...before.choices];
    const seen = new Set<Schema>();
    const open = [...schemas].reverse();
    for (let schema = open.pop(); schema !== undefined; schema = open.pop()) {
      this.budget.work(10);
      if (schema.body === false) return undefined;
      if (schema.body === true || seen.has(schema)) continue;
      seen.add(schema);
      if (conjuncts.has(schema.pointer)) continue;
      conjuncts.set(schema.pointer, schema);
      if (fitsNothing(schema)) return undefined;
      choices.push(...this.#choicesOf(schema));
      open.push(...[...schemasOf(this.document, schema, 'allOf')].reverse());
      if (hasKeyword(schema, '$ref')) open.push(this.document.resolve(schema, keyword(schema, '$ref')));
    }
    return { conjuncts, choices };
  }

  *#choicesOf(schema: Schema): Iterable<Choice> {
    for (const name of ['anyOf', 'oneOf'] as const)
      if (hasKeyword(schema, name))
        yield {
          keyword: name,
          at: schema,
          branches: schemasOf(this.document, schema, name).map((branch) => [branch]),
        };
    for (const name of ['dependentRequired', 'dependentSchemas', 'dependencies'])
      for (const [member, consequence] of this.#dependencies(schema, name)) {
        const pointer = `${schema.pointer}/${name}/${encodeURIComponent(member)}`;
        const absent = this.document.at(`${pointer}?absent`, { properties: { [member]: false } });
        const present = this.document.at(`${pointer}?present`, { required: [member] });
        yield { keyword: 'anyOf', at: schema, branches: [[absent], [present, consequence]] };
      }
  }

  /** Of members by name: what must hold where the member is there. */
  *#dependencies(schema: Schema, name: string): Iterable<[string, Schema]> {
    const value = keyword(schema, name);
    if (!isObject(value)) {
      if (value === undefined) return;
      throw new StructureError('invalid', `${name}: expected an object`, name, schema.pointer);
    }
    for (const [member, consequence] of Object.entries(value)) {
      const pointer = `${schema.pointer}/${name}/${encodeURIComponent(member)}`;
      if (Array.isArray(consequence)) {
        const required = this.document.at(`${pointer}?required`, { required: consequence });
        namesOf(required, 'required');
        yield [member, required];
      } else yield [member, schemaMapOf(this.document, schema, name).get(member) as Schema];
    }
  }
}

/** By a `not` of everything. */
function fitsNothing(schema: Schema): boolean {
  const not = keyword(schema, 'not');
  return not === true || (isObject(not) && Object.keys(not).length === 0);
}

/** The types that all of them allow. */
export function possibleTypes(conjuncts: Conjuncts): Set<JsonType> {
  const types = new Set<JsonType>(JSON_TYPES);
  for (const schema of conjuncts) {
    const named = typesNamed(schema);
    const excluded = excludedTypes(schema);
    for (const type of types)
      if (
        excluded.includes(type) ||
        (named !== undefined && !named.includes(type) && !(type === 'number' && named.includes('integer')))
      )
        types.delete(type);
  }
  return types;
}

/** By `not: {"type": ...}`. */
function excludedTypes(schema: Schema): readonly JsonType[] {
  return notTypes(schema)?.filter((type) => type !== 'integer') ?? [];
}
