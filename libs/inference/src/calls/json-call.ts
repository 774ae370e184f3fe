import type { Said } from './reader.js';

const SPACE = /\s/;
const ARGUMENTS: ReadonlySet<string> = new Set(['arguments', 'parameters']);

type State = 'start' | 'member' | 'key' | 'colon' | 'value' | 'text' | 'raw' | 'done' | 'failed';

/**
 * One call as a JSON object, read character by character: `{"name": ..., "arguments": {...}}`, also with `parameters`, with
 * the members in any order, with arguments as JSON text, and within OpenAI's `{"type": "function", "function": {...}}`.
 */
export class JsonCall {
  #state: State = 'start';
  /** Everything that was read. */
  raw = '';
  #name: string | undefined;
  #hasArguments = false;
  /** Arguments that came before the name. */
  #early = '';
  #key = '';
  /** The JSON text of the key or string at hand. */
  #text = '';
  #escaped = false;
  /** Open brackets of a value that is taken as it stands; whether a string is open in it. */
  #depth = 0;
  #quoted = false;
  /** Objects around the members: the call's own, and perhaps the one of `function`. */
  #level = 0;

  /** The object is the arguments alone. */
  #alone = false;

  constructor(private readonly accepts: (name: string) => boolean) {}

  /** A call of which the name is known; what is read are its arguments. */
  static ofArguments(name: string): JsonCall {
    const call = new JsonCall(() => true);
    call.#name = name;
    call.#alone = true;
    call.#key = 'arguments';
    call.#state = 'raw';
    return call;
  }

  get done(): boolean {
    return this.#state === 'done';
  }

  /** What was read is no call: it has to be taken as text. */
  get failed(): boolean {
    return this.#state === 'failed';
  }

  get hasBegun(): boolean {
    return this.#name !== undefined;
  }

  /** Takes the next character; nothing after `done` or `failed`. */
  take(character: string): Said[] {
    this.raw += character;
    switch (this.#state) {
      case 'start':
        if (character === '{') this.#open();
        else if (!SPACE.test(character)) this.#fail();
        return [];
      case 'member':
        return this.#member(character);
      case 'key':
        if (this.#ofString(character)) this.#endKey();
        return [];
      case 'colon':
        if (character === ':') this.#state = 'value';
        else if (!SPACE.test(character)) this.#fail();
        return [];
      case 'value':
        return SPACE.test(character) ? [] : this.#beginValue(character);
      case 'text':
        return this.#ofString(character) ? this.#endText() : [];
      case 'raw':
        return this.#ofRaw(character);
      case 'done':
      case 'failed':
        return [];
    }
  }

  #open(): void {
    this.#level++;
    this.#state = 'member';
  }

  #fail(): Said[] {
    this.#state = 'failed';
    return [];
  }

  #member(character: string): Said[] {
    if (character === '"') {
      this.#text = '"';
      this.#state = 'key';
    } else if (character === '}') return this.#close();
    else if (character !== ',' && !SPACE.test(character)) return this.#fail();
    return [];
  }

  #close(): Said[] {
    this.#level--;
    if (this.#level > 0) return [];
    if (this.#name === undefined) return this.#fail();
    this.#state = 'done';
    return this.#hasArguments ? [] : [{ kind: 'arguments', text: '{}' }];
  }

  /** One more character of a key or string; whether it was the last. */
  #ofString(character: string): boolean {
    this.#text += character;
    if (this.#escaped) this.#escaped = false;
    else if (character === '\\') this.#escaped = true;
    else return character === '"';
    return false;
  }

  #endKey(): void {
    const key = stringOf(this.#text);
    if (key === undefined) this.#fail();
    else {
      this.#key = key;
      this.#state = 'colon';
    }
  }

  #beginValue(character: string): Said[] {
    const isArguments = ARGUMENTS.has(this.#key);
    if (this.#key === 'function' && character === '{') {
      this.#open();
      return [];
    }
    const isName = this.#key === 'name' || this.#key === 'function';
    if (character === '"' && (isArguments || isName)) {
      this.#text = '"';
      this.#state = 'text';
      return [];
    }
    if (isName) return this.#fail();
    this.#state = 'raw';
    this.#depth = 0;
    this.#text = '';
    return this.#ofRaw(character);
  }

  #endText(): Said[] {
    const value = stringOf(this.#text);
    if (value === undefined) return this.#fail();
    this.#state = 'member';
    if (ARGUMENTS.has(this.#key)) return this.#argue(value.trim() === '' ? '{}' : value);
    if (this.#name !== undefined || !this.accepts(value)) return this.#fail();
    this.#name = value;
    const early = this.#early;
    return [
      { kind: 'call', name: value },
      ...(early === '' ? [] : [{ kind: 'arguments', text: early } as const]),
    ];
  }

  /** A value that is taken as it stands: the arguments, or what is not looked at. */
  #ofRaw(character: string): Said[] {
    if (this.#quoted) {
      if (this.#escaped) this.#escaped = false;
      else if (character === '\\') this.#escaped = true;
      else if (character === '"') this.#quoted = false;
      return this.#keepRaw(character);
    }
    if (character === '"') this.#quoted = true;
    else if (character === '{' || character === '[') this.#depth++;
    else if (this.#depth === 0 && (character === ',' || character === '}')) {
      this.#state = 'member'; // behind a number or a word
      return [...this.#endRaw(), ...this.#member(character)];
    } else if (character === '}' || character === ']') {
      this.#depth--;
      if (this.#depth === 0) {
        this.#state = this.#alone ? 'done' : 'member';
        return this.#keepRaw(character);
      }
    }
    return this.#keepRaw(character);
  }

  #keepRaw(character: string): Said[] {
    if (!ARGUMENTS.has(this.#key)) return [];
    if (this.#depth > 0 || character === '}' || character === ']') return this.#argue(character);
    this.#text += character;
    return [];
  }

  /** A word for arguments: `null` stands for none. */
  #endRaw(): Said[] {
    const word = this.#text.trim();
    this.#text = '';
    if (!ARGUMENTS.has(this.#key) || word === '') return [];
    return this.#argue(word === 'null' ? '{}' : word);
  }

  #argue(text: string): Said[] {
    this.#hasArguments = true;
    if (this.#name !== undefined) return [{ kind: 'arguments', text }];
    this.#early += text;
    return [];
  }
}

function stringOf(json: string): string | undefined {
  try {
    return JSON.parse(json) as string;
  } catch {
    return undefined;
  }
}
