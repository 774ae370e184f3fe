import { TemplateFault, valueError } from './errors.js';
import { formatValue } from './format-spec.js';
import { repr, str } from './representation.js';
import { plain, sliceUnits, type Text, TextBuilder } from './text.js';
import type { NamedArguments, Value } from './values.js';

export interface FormatArguments {
  readonly args: readonly Value[];
  readonly named: NamedArguments;
  /** `{0.name}` and `{0[index]}`, by the sandbox's rules. */
  readonly getAttribute: (value: Value, name: string) => Value;
  readonly getItem: (value: Value, index: Value) => Value;
}

/** Python's text.format(*args, **named). */
export function formatText(format: Text, given: FormatArguments): Text {
  return new Formatter(given).format(format, 2);
}

class Formatter {
  #nextIndex: number | 'manual' = 0;

  constructor(private readonly given: FormatArguments) {}

  format(format: Text, depth: number): Text {
    if (depth < 0) throw valueError('Max string recursion exceeded');
    const source = plain(format);
    const out = new TextBuilder();
    let at = 0;
    while (at < source.length) {
      const brace = nextBrace(source, at);
      out.push(sliceUnits(format, at, brace));
      if (brace >= source.length) break;
      if (source[brace + 1] === source[brace]) {
        out.push(sliceUnits(format, brace, brace + 1));
        at = brace + 2;
        continue;
      }
      if (source[brace] === '}') throw valueError("Single '}' encountered in format string");
      const end = closingBrace(source, brace);
      out.push(this.#field(sliceUnits(format, brace + 1, end), depth));
      at = end + 1;
    }
    return out.finish();
  }

  #field(field: Text, depth: number): Text {
    const text = plain(field);
    const split = /^((?:[^[:!]|\[[^\]]*\])*)(?:!([\s\S]))?(?::([\s\S]*))?$/.exec(text);
    if (split === null) throw valueError("expected ':' after conversion specifier");
    const [, name = '', conversion, spec = ''] = split;
    const value = this.#value(name);
    const specText = plain(this.format(spec, depth - 1));
    if (conversion === undefined) return formatValue(value, specText);
    if (conversion !== 's' && conversion !== 'r' && conversion !== 'a') {
      throw valueError(`Unknown conversion specifier ${conversion}`);
    }
    return formatValue(conversion === 's' ? str(value) : repr(value), specText);
  }

  #value(name: string): Value {
    const [, first = '', rest = ''] = /^([^.[]*)([\s\S]*)$/.exec(name) ?? [];
    let value = this.#first(first);
    for (const [, attribute, item] of rest.matchAll(/\.([^.[]+)|\[([^\]]*)\]/g)) {
      if (attribute !== undefined) value = this.given.getAttribute(value, attribute);
      else value = this.given.getItem(value, /^\d+$/.test(item ?? '') ? BigInt(item ?? '') : (item ?? ''));
    }
    return value;
  }

  #first(name: string): Value {
    if (name !== '' && !/^\d+$/.test(name)) {
      const value = this.given.named.get(name);
      if (value === undefined) throw new TemplateFault('KeyError', `'${name}'`);
      return value;
    }
    const value = this.given.args[this.#position(name)];
    if (value === undefined) {
      throw new TemplateFault('IndexError', 'Replacement index out of range for positional args tuple');
    }
    return value;
  }

  #position(name: string): number {
    if (name === '') {
      if (this.#nextIndex === 'manual') {
        throw valueError('cannot switch from manual field specification to automatic field numbering');
      }
      return this.#nextIndex++;
    }
    if (typeof this.#nextIndex === 'number' && this.#nextIndex > 0) {
      throw valueError('cannot switch from automatic field numbering to manual field specification');
    }
    this.#nextIndex = 'manual';
    return Number(name);
  }
}

function nextBrace(source: string, from: number): number {
  const offset = source.slice(from).search(/[{}]/);
  return offset < 0 ? source.length : from + offset;
}

function closingBrace(source: string, open: number): number {
  let depth = 0;
  for (let i = open; i < source.length; i++) {
    if (source[i] === '{') depth++;
    else if (source[i] === '}' && --depth === 0) return i;
  }
  throw valueError("expected '}' before end of string");
}
