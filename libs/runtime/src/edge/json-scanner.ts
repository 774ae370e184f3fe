import { AppError } from '#runtime/app-error.js';

/** What the text of a JSON body may hold, so that parsing it and checking it stays cheap. */
export interface JsonLimits {
  readonly depth: number;
  /** Objects and arrays in all. */
  readonly containers: number;
  /** Names and texts in all: the parser looks each short one up. */
  readonly strings: number;
  /** Members of one object. */
  readonly members: number;
  /** Members of all objects and items of all arrays. */
  readonly values: number;
}

/** Bytes of a body's limit for each value: 262,144 values at 4 MiB, the token ids of two contexts of 128k. */
const BYTES_PER_VALUE = 16;

/** For bodies of so many bytes at most. At these, 4 MiB of the worst text take about 40 ms to parse. */
export function jsonLimits(bodyBytes: number): JsonLimits {
  const values = Math.floor(bodyBytes / BYTES_PER_VALUE);
  return { depth: 64, containers: 32_768, strings: 65_536, members: 4_096, values };
}

const MIB = 2 ** 20;

/** Literals shorter than this are exact as doubles. */
const EXACT_DIGITS = 16;
const MAX_LONG_NUMBERS = 8;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const U = 0x75;

/** Where a long number stands in the text, in bytes. */
export interface NumberSpan {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads JSON as its bytes come and throws invalid_request as soon as a limit is passed or a string escapes what is no
 * Unicode text (U+0000 or half a surrogate pair). Whether the text is JSON at all is left to the parser.
 */
export class JsonScanner {
  /** Integers of 16 digits and more that are members of the outermost object: a double may not hold them. */
  readonly longNumbers: NumberSpan[] = [];
  /** For each open container: its members or items after the first. */
  readonly #counts: Uint32Array;
  readonly #isObject: Uint8Array;
  #depth = 0;
  #containers = 0;
  #strings = 0;
  #values = 0;
  #inString = false;
  /** 0: no escape; 1: after a backslash; 2 to 5: so many of `u` and its digits are read. */
  #escape = 0;
  #escaped = 0;
  /** A high surrogate was escaped, and its low one must come next. */
  #awaitsLow = false;
  #offset = 0;
  #numberStart = -1;

  constructor(private readonly limits: JsonLimits = jsonLimits(4 * MIB)) {
    this.#counts = new Uint32Array(limits.depth + 1);
    this.#isObject = new Uint8Array(limits.depth + 1);
  }

  /** The next bytes. */
  scan(bytes: Uint8Array): void {
    let index = 0;
    while (index < bytes.length) {
      if (this.#inString) index = this.#string(bytes, index);
      else index = this.#structure(bytes, index);
    }
    this.#offset += bytes.length;
  }

  /** Reads a string up to its end or that of the bytes; returns where it stopped. */
  #string(bytes: Uint8Array, from: number): number {
    const start = this.#escape > 0 || this.#awaitsLow ? from : firstSpecial(bytes, from);
    for (let index = start; index < bytes.length; index += 1) {
      const byte = bytes[index]!;
      if (this.#escape > 0) this.#escapedByte(byte);
      else if (byte === BACKSLASH) this.#escape = 1;
      else if (this.#awaitsLow) throw loneSurrogate();
      else if (byte === QUOTE) {
        this.#inString = false;
        return index + 1;
      } else if (byte === 0) throw nul();
    }
    return bytes.length;
  }

  #escapedByte(byte: number): void {
    if (this.#escape === 1) {
      this.#escape = byte === U ? 2 : 0;
      this.#escaped = 0;
      if (byte !== U && this.#awaitsLow) throw loneSurrogate();
      return;
    }
    this.#escaped = this.#escaped * 16 + hexValue(byte);
    this.#escape += 1;
    if (this.#escape < 6) return;
    this.#escape = 0;
    const unit = this.#escaped;
    if (unit === 0) throw nul();
    const isLow = unit >= 0xdc00 && unit <= 0xdfff;
    if (isLow !== this.#awaitsLow) throw loneSurrogate();
    this.#awaitsLow = unit >= 0xd800 && unit <= 0xdbff;
  }

  /** Reads what stands outside of strings, up to the next string. */
  #structure(bytes: Uint8Array, from: number): number {
    for (let index = from; index < bytes.length; index += 1) {
      const byte = bytes[index]!;
      if (byte > COLON) {
        // [ and {, ] and }: bit 5 tells braces from brackets, the low bits opening from closing.
        const bracket = byte & 0xdf;
        if (bracket === 0x5b) this.#open(byte === 0x7b);
        else if (bracket === 0x5d) this.#close(this.#offset + index);
      } else if (byte === QUOTE) {
        this.#openString();
        return index + 1;
      } else if (byte === COMMA) this.#comma(this.#offset + index);
      else if (this.#depth === 1 && this.#numberStart < 0 && (byte === MINUS || isDigit(byte))) {
        this.#numberStart = this.#offset + index;
      }
    }
    return bytes.length;
  }

  #open(isObject: boolean): void {
    this.#containers += 1;
    this.#depth += 1;
    if (this.#depth > this.limits.depth) throw tooMuch(`is nested deeper than ${this.limits.depth} levels`);
    if (this.#containers > this.limits.containers)
      throw tooMuch(`holds more than ${this.limits.containers} objects and arrays`);
    this.#counts[this.#depth] = 1;
    this.#isObject[this.#depth] = isObject ? 1 : 0;
  }

  #openString(): void {
    this.#inString = true;
    this.#strings += 1;
    if (this.#strings > this.limits.strings)
      throw tooMuch(`holds more than ${this.limits.strings} names and texts`);
  }

  #close(at: number): void {
    this.#endNumber(at);
    if (this.#depth > 0) this.#depth -= 1;
  }

  #comma(at: number): void {
    this.#endNumber(at);
    this.#values += 1;
    if (this.#values > this.limits.values) throw tooMuch(`holds more than ${this.limits.values} values`);
    const count = (this.#counts[this.#depth]! += 1);
    if (this.#isObject[this.#depth] === 1 && count > this.limits.members)
      throw tooMuch(`has an object of more than ${this.limits.members} members`);
  }

  #endNumber(end: number): void {
    if (this.#depth !== 1 || this.#numberStart < 0) return;
    const start = this.#numberStart;
    this.#numberStart = -1;
    if (end - start >= EXACT_DIGITS && this.longNumbers.length < MAX_LONG_NUMBERS)
      this.longNumbers.push({ start, end });
  }
}

/** The index of the first byte that means something within a string. */
function firstSpecial(bytes: Uint8Array, from: number): number {
  let index = from;
  for (; index < bytes.length; index += 1) {
    const byte = bytes[index]!;
    if (byte === QUOTE || byte === BACKSLASH || byte === 0) break;
  }
  return index;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** What is no digit is left to the parser, which refuses it. */
function hexValue(byte: number): number {
  if (isDigit(byte)) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : 0;
}

function tooMuch(what: string): AppError {
  return new AppError('invalid_request', { message: `The body ${what}.` });
}

function nul(): AppError {
  return new AppError('invalid_request', { message: 'The body holds U+0000, which no text here may.' });
}

function loneSurrogate(): AppError {
  return new AppError('invalid_request', {
    message: 'The body holds half a surrogate pair: it is no Unicode text.',
  });
}
