import { isUtf8 } from 'node:buffer';
import { parse } from 'secure-json-parse';
import { AppError } from '#runtime/app-error.js';
import { JsonScanner, type JsonLimits, type NumberSpan } from './json-scanner.js';
import { markNumbersOf, withMarkedNumbers } from './verbatim-members.js';

/** Stands before a long number in its member's text; no body holds U+0000. */
const LONG_NUMBER = '\0';

/** Text that came in one piece, under the rules of every body. Throws invalid_request. */
export function parseJson(bytes: Buffer, limits?: JsonLimits): unknown {
  const scanner = new JsonScanner(limits);
  scanner.scan(bytes);
  return parseScanned(bytes, scanner);
}

/**
 * A scanned text as its value: members of the outermost object that are integers beyond 2^53 are bigints, and those
 * named in `verbatim` keep the spelling of their numbers. Throws invalid_request.
 */
export function parseScanned(
  bytes: Buffer,
  { longNumbers }: JsonScanner,
  verbatim: readonly string[] = [],
): unknown {
  if (!isUtf8(bytes)) throw new AppError('invalid_request', { message: 'The body is not valid UTF-8.' });
  const spans = longNumbers.filter(({ start, end }) => isLong(bytes.toString('latin1', start, end)));
  const text = spans.length === 0 ? bytes.toString('utf8') : markNumbers(bytes, spans);
  try {
    const value: unknown = spans.length === 0 ? parseText(text) : withBigInts(parseText(text));
    return hasObject(value, verbatim) ? withSpelling(value, text, verbatim) : value;
  } catch (cause) {
    throw new AppError('invalid_request', {
      message: `The body is not valid JSON: ${reasonOf(cause)}`,
      cause,
    });
  }
}

function parseText(text: string): unknown {
  return parse(text, undefined, { protoAction: 'error', constructorAction: 'error' });
}

function hasObject(value: unknown, names: readonly string[]): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const object = value as Record<string, unknown>;
  return names.some((name) => typeof object[name] === 'object' && object[name] !== null);
}

function withSpelling(value: Record<string, unknown>, text: string, names: readonly string[]): unknown {
  const marked = markNumbersOf(text, names);
  if (marked === undefined) return value;
  const again = parseText(marked) as Record<string, unknown>;
  for (const name of names) if (Object.hasOwn(value, name)) value[name] = withMarkedNumbers(again[name]);
  return value;
}

function isLong(literal: string): boolean {
  return /^-?(0|[1-9]\d*)\s*$/.test(literal) && !Number.isSafeInteger(Number(literal));
}

function markNumbers(bytes: Buffer, spans: readonly NumberSpan[]): string {
  let text = '';
  let at = 0;
  for (const { start, end } of spans) {
    const literal = bytes.toString('latin1', start, end).trim();
    text += `${bytes.toString('utf8', at, start)}"\\u0000${literal}"`;
    at = end;
  }
  return text + bytes.toString('utf8', at);
}

function withBigInts(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).map(([name, member]: [string, unknown]) => [
    name,
    typeof member === 'string' && member.startsWith(LONG_NUMBER) ? BigInt(member.slice(1)) : member,
  ]);
  return Object.fromEntries(entries) as unknown;
}

/** What the parser says, without a piece of the body in it. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  if (/forbidden prototype property/.test(message)) return 'it names a member `__proto__` or `constructor`.';
  const position = /position (\d+)/.exec(message)?.[1];
  if (position !== undefined) return `unexpected text at position ${position}.`;
  return /end of JSON/i.test(message) ? 'it ends too early.' : 'unexpected text.';
}
