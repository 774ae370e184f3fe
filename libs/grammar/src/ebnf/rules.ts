import { StructureError } from '../errors.js';
import { choice, type Expression, isNever, NEVER, repeat, rule, sequence } from './expression.js';
import { printed } from './print.js';

/** The rules of a grammar as it is built. */
export class Rules {
  readonly #bodies = new Map<string, Expression>();
  readonly #byKey = new Map<string, string>();

  constructor(private readonly grammarBytes: number) {}

  #scopes = 0;

  /** A prefix for the keys of rules that nothing else has. */
  freshScope(): string {
    return `#${this.#scopes++}`;
  }

  /** A rule of its own; `kind` becomes a part of its name. */
  add(kind: string, body: Expression): Expression {
    const name = this.#fresh(kind);
    this.#bodies.set(name, body);
    return rule(name);
  }

  /** The rule of this key, made at its first use; it may refer to itself. */
  once(kind: string, key: string, make: () => Expression): Expression {
    const known = this.#byKey.get(key);
    if (known !== undefined) return rule(known);
    const name = this.reserve(kind);
    this.#byKey.set(key, name);
    this.define(name, make());
    return rule(name);
  }

  /** Of a rule that `once` has, or is making. */
  nameOf(key: string): string {
    return this.#byKey.get(key) as string;
  }

  /** The name of a rule that `define` gives its body later. */
  reserve(kind: string): string {
    const name = this.#fresh(kind);
    this.#bodies.set(name, NEVER);
    return name;
  }

  define(name: string, body: Expression): void {
    this.#bodies.set(name, body);
  }

  #fresh(kind: string): string {
    // Ten bytes are the least that a rule prints to.
    if (this.#bodies.size * 10 > this.grammarBytes) throw tooLarge();
    return `${kind}_${this.#bodies.size}`;
  }

  /** The grammar's text, without alternatives that can never end. */
  text(root: Expression): string {
    const ending = this.#thatEnd();
    const live = (body: Expression) => pruned(body, (name) => ending.has(name));
    const start = live(root);
    if (isNever(start)) throw new StructureError('unsatisfiable', 'no value satisfies it');
    const lines = [`root ::= ${printed(start)}`];
    let bytes = 0;
    const seen = new Set<string>();
    const open = [...namesIn(start)];
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (seen.has(name)) continue;
      seen.add(name);
      const body = live(this.#bodies.get(name) as Expression);
      const line = `${name} ::= ${printed(body)}`;
      bytes += line.length + 1;
      if (bytes > this.grammarBytes) throw tooLarge();
      lines.push(line);
      open.push(...namesIn(body));
    }
    return `${lines.join('\n')}\n`;
  }

  /** Names of the rules that some finite text fits. */
  #thatEnd(): ReadonlySet<string> {
    const users = new Map<string, string[]>();
    for (const [name, body] of this.#bodies)
      for (const used of namesIn(body)) users.set(used, [...(users.get(used) ?? []), name]);
    const ending = new Set<string>();
    const open = [...this.#bodies.keys()];
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (ending.has(name) || !ends(this.#bodies.get(name) as Expression, ending)) continue;
      ending.add(name);
      open.push(...(users.get(name) ?? []));
    }
    return ending;
  }
}

const tooLarge = () => new StructureError('too_large', 'its grammar becomes too large');

function ends(body: Expression, ending: ReadonlySet<string>): boolean {
  if (body.kind === 'rule') return ending.has(body.name);
  if (body.kind === 'sequence') return body.items.every((item) => ends(item, ending));
  if (body.kind === 'choice') return body.items.some((item) => ends(item, ending));
  if (body.kind === 'repeat') return body.min === 0 || ends(body.item, ending);
  return true;
}

function pruned(body: Expression, isLive: (name: string) => boolean): Expression {
  if (body.kind === 'rule') return isLive(body.name) ? body : NEVER;
  if (body.kind === 'sequence') return sequence(...body.items.map((item) => pruned(item, isLive)));
  if (body.kind === 'choice')
    return choice(...body.items.map((item) => pruned(item, isLive)).filter((item) => !isNever(item)));
  if (body.kind === 'repeat') return repeat(pruned(body.item, isLive), body.min, body.max);
  return body;
}

function namesIn(body: Expression): ReadonlySet<string> {
  const names = new Set<string>();
  const open = [body];
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    if (item.kind === 'rule') names.add(item.name);
    else if (item.kind === 'sequence' || item.kind === 'choice') open.push(...item.items);
    else if (item.kind === 'repeat') open.push(item.item);
  }
  return names;
}
