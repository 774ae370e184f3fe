import { TemplateFault, typeError } from './errors.js';
import { reprFloat } from './representation.js';
import { sortedBy } from './comparison.js';
import { isText, marked, MarkedText, plain, sliceUnits, type Text, TextBuilder } from './text.js';
import { Dict, Tuple, typeName, type Value } from './values.js';

export interface DumpOptions {
  readonly ensureAscii: boolean;
  /** Absent: everything on one line. */
  readonly indent: string | undefined;
  /** Between items, and between a key and its value. */
  readonly separators: readonly [string, string] | undefined;
  readonly sortKeys: boolean;
}

/** Python's json.dumps. */
export function dumpJson(value: Value, options: DumpOptions): Text {
  const writer = new JsonWriter(options);
  writer.write(value, 0);
  return writer.out.finish();
}

class JsonWriter {
  readonly out = new TextBuilder();
  readonly #open = new Set<Value>();
  readonly #itemSeparator: string;
  readonly #keySeparator: string;

  constructor(private readonly options: DumpOptions) {
    const [item, key] = options.separators ?? [options.indent === undefined ? ', ' : ',', ': '];
    this.#itemSeparator = item;
    this.#keySeparator = key;
  }

  write(value: Value, depth: number): void {
    if (isText(value)) this.#text(value);
    else if (value instanceof Dict) this.#container(value, '{}', this.#entries(value), depth);
    else if (Array.isArray(value)) this.#container(value, '[]', value, depth);
    else if (value instanceof Tuple) this.#container(value, '[]', value.items, depth);
    else this.out.push(scalar(value));
  }

  #entries(dict: Dict): [Value, Value][] {
    const entries = dict.entries();
    return this.options.sortKeys ? sortedBy(entries, ([key]) => key, false) : entries;
  }

  #container(
    value: Value,
    brackets: string,
    items: readonly (Value | [Value, Value])[],
    depth: number,
  ): void {
    if (this.#open.has(value)) throw new TemplateFault('ValueError', 'Circular reference detected');
    this.#open.add(value);
    this.out.push(brackets.charAt(0));
    for (const [i, item] of items.entries()) {
      if (i > 0) this.out.push(this.#itemSeparator);
      this.#newLine(depth + 1);
      if (brackets === '{}') this.#entry(item as [Value, Value], depth + 1);
      else this.write(item as Value, depth + 1);
    }
    if (items.length > 0) this.#newLine(depth);
    this.out.push(brackets.charAt(1));
    this.#open.delete(value);
  }

  #entry([key, value]: [Value, Value], depth: number): void {
    this.#text(isText(key) ? key : keyText(key));
    this.out.push(this.#keySeparator);
    this.write(value, depth);
  }

  #newLine(depth: number): void {
    const { indent } = this.options;
    if (indent !== undefined) this.out.push(`\n${indent.repeat(depth)}`);
  }

  #text(text: Text): void {
    this.out.push('"');
    if (typeof text === 'string') this.out.push(this.#escape(text));
    else this.#marked(text);
    this.out.push('"');
  }

  /** Runs of one provenance at a time. */
  #marked(text: MarkedText): void {
    let at = 0;
    for (let i = 0; i < text.marks.length; i += 2) {
      const [begin, end] = [text.marks[i] as number, text.marks[i + 1] as number];
      this.out.push(this.#escape(plain(sliceUnits(text, at, begin))));
      this.out.push(marked(this.#escape(plain(sliceUnits(text, begin, end)))));
      at = end;
    }
    this.out.push(this.#escape(text.text.slice(at)));
  }

  #escape(text: string): string {
    const pattern = this.options.ensureAscii ? /["\\]|[^ -~]/g : NEEDS_ESCAPE;
    return text.replace(
      pattern,
      (character) => ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  }
}

/** Quotes, backslashes and C0 controls. */
const NEEDS_ESCAPE = /["\\]|[^ -\uffff]/g;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
};

function scalar(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') {
    if (Number.isNaN(value)) return 'NaN';
    return Number.isFinite(value) ? reprFloat(value) : value > 0 ? 'Infinity' : '-Infinity';
  }
  throw typeError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function keyText(key: Value): string {
  const isScalar = key === null || typeof key !== 'object';
  if (!isScalar) throw typeError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
  return scalar(key);
}
