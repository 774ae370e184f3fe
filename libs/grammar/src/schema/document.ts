import type { Budget } from '../budget.js';
import { StructureError } from '../errors.js';

export type Keywords = Readonly<Record<string, unknown>>;

/** A schema at its place in the document. There is one object for each place. */
export interface Schema {
  /** JSON pointer; of schemas that we derive, with the keyword that they come from. */
  readonly pointer: string;
  readonly body: boolean | Keywords;
}

/** The whole JSON Schema: finds its parts, once each. */
export class SchemaDocument {
  readonly root: Schema;
  readonly #schemas = new Map<string, Schema>();

  constructor(
    root: unknown,
    private readonly budget: Budget,
  ) {
    this.#checkSize(root);
    this.root = this.at('', root);
  }

  /** What stands at a place, where a schema must be. */
  at(pointer: string, value: unknown): Schema {
    const known = this.#schemas.get(pointer);
    if (known !== undefined) return known;
    if (typeof value !== 'boolean' && !isObject(value))
      throw new StructureError('invalid', 'expected a schema: an object or a boolean', undefined, pointer);
    this.budget.work(20);
    const schema: Schema = { pointer, body: value };
    this.#schemas.set(pointer, schema);
    return schema;
  }

  /** The value of a keyword of `parent` is a schema, or one is below it. */
  below(parent: Schema, ...path: readonly (string | number)[]): Schema {
    const pointer = parent.pointer + path.map((token) => `/${escapeToken(String(token))}`).join('');
    let value: unknown = parent.body;
    for (const token of path) value = member(value, String(token));
    return this.at(pointer, value);
  }

  /** What a `$ref` in `schema` stands for. */
  resolve(schema: Schema, ref: unknown): Schema {
    const refused = (fault: 'invalid' | 'unsupported', message: string) =>
      new StructureError(fault, message, '$ref', schema.pointer);
    if (typeof ref !== 'string') throw refused('invalid', '$ref: expected a string');
    const own = member(this.root.body, '$id');
    const local = typeof own === 'string' && ref.startsWith(`${own}#`) ? ref.slice(own.length) : ref;
    if (!local.startsWith('#'))
      throw refused('unsupported', '$ref: only references within the schema are followed');
    const pointer = decoded(local.slice(1));
    if (pointer === undefined || (pointer !== '' && !pointer.startsWith('/')))
      throw refused('unsupported', '$ref: only JSON pointers are followed');
    let value: unknown = this.root.body;
    let place = '';
    for (const token of pointer.split('/').slice(1)) {
      value = member(value, token.replaceAll('~1', '/').replaceAll('~0', '~'));
      place += `/${token}`;
      if (value === undefined) throw refused('invalid', `$ref: nothing is at ${JSON.stringify(ref)}`);
      if (isObject(value) && typeof member(value, '$id') === 'string')
        throw new StructureError('unsupported', '$id: only at the top of the schema', '$id', place);
    }
    return this.at(pointer, value);
  }

  #checkSize(root: unknown): void {
    const { depth } = this.budget.limits;
    const open: { value: unknown; depth: number }[] = [{ value: root, depth: 0 }];
    let bytes = 0;
    for (let each = open.pop(); each !== undefined; each = open.pop()) {
      const { value } = each;
      if (each.depth > depth) throw new StructureError('too_large', `it is nested deeper than ${depth}`);
      bytes += typeof value === 'string' ? value.length + 2 : 2;
      if (typeof value !== 'object' || value === null) continue;
      for (const [name, inner] of Object.entries(value)) {
        if (!Array.isArray(value)) bytes += name.length + 3;
        open.push({ value: inner, depth: each.depth + 1 });
      }
      this.budget.input(bytes);
    }
    this.budget.input(bytes);
  }
}

export const isObject = (value: unknown): value is Keywords =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Keywords)[name]
    : undefined;
}

const escapeToken = (token: string): string => token.replaceAll('~', '~0').replaceAll('/', '~1');

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
