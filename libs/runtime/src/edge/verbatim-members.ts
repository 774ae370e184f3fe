import { RawJson } from '#contracts/raw-json.js';

/** Stands before a number in the text that takes its place; no body holds U+0000. */
const MARK = '\0';

/**
 * The text of valid JSON with those numbers of the named members of its outermost object in quotes and marked that
 * JavaScript would write otherwise (1.0, 1e5, integers beyond 2^53); undefined where there are none.
 */
export function markNumbersOf(text: string, names: readonly string[]): string | undefined {
  const pieces: string[] = [];
  let copied = 0;
  let depth = 0;
  let name = '';
  let isWanted = false;
  let awaitsName = true;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]!;
    if (char === '"') {
      const end = endOfString(text, at);
      if (depth === 1 && awaitsName) name = JSON.parse(text.slice(at, end)) as string;
      at = end - 1;
    } else if (char === ':' && depth === 1) {
      awaitsName = false;
      isWanted = names.includes(name);
    } else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') depth -= 1;
    else if (char === ',' && depth === 1) {
      awaitsName = true;
      isWanted = false;
    } else if (isWanted && depth > 1 && isNumberStart(char)) {
      const end = endOfNumber(text, at);
      const literal = text.slice(at, end);
      if (String(Number(literal)) !== literal) {
        pieces.push(text.slice(copied, at), '"\\u0000', literal, '"');
        copied = end;
      }
      at = end - 1;
    }
  }
  return copied === 0 ? undefined : pieces.join('') + text.slice(copied);
}

/** The text of a member of valid JSON's outermost object, as it is spelled; of several the last, as parsers take it. */
export function memberText(text: string, wanted: string): string | undefined {
  let depth = 0;
  let name: string | undefined;
  let from = -1;
  let found: string | undefined;
  const endMember = (at: number): void => {
    if (from >= 0 && name === wanted) found = text.slice(from, at).trim();
    [name, from] = [undefined, -1];
  };
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]!;
    if (char === '"') {
      const end = endOfString(text, at);
      if (depth === 1 && name === undefined) name = JSON.parse(text.slice(at, end)) as string;
      at = end - 1;
    } else if (char === ':' && depth === 1) from = at + 1;
    else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') {
      depth -= 1;
      if (depth === 0) endMember(at);
    } else if (char === ',' && depth === 1) endMember(at);
  }
  return found;
}

/** A value parsed from marked text, with RawJson in place of each marked number. */
export function withMarkedNumbers(value: unknown): unknown {
  if (typeof value === 'string') return value.startsWith(MARK) ? new RawJson(value.slice(1)) : value;
  if (Array.isArray(value)) return value.map(withMarkedNumbers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]): [string, unknown] => [key, withMarkedNumbers(member)]),
  );
}

/** The index after the closing quote of the string that begins at `from`. */
function endOfString(text: string, from: number): number {
  let end = text.indexOf('"', from + 1);
  while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end + 1;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === '\\') backslashes += 1;
  return backslashes % 2 === 1;
}

function isNumberStart(char: string): boolean {
  return char === '-' || (char >= '0' && char <= '9');
}

function endOfNumber(text: string, from: number): number {
  let end = from + 1;
  while (end < text.length && /[\d.eE+-]/.test(text[end]!)) end += 1;
  return end;
}
