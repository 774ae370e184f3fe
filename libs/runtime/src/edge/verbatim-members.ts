import { isNumber, parse } from 'lossless-json';
import { RawJson } from '#contracts/raw-json.js';

/**
 * Puts these members of a parsed object in again from its text, with numbers that JavaScript would write otherwise
 * (1.0, 1e5, integers beyond 2^53) as RawJson.
 */
export function restoreNumbers(value: unknown, text: string, names: readonly string[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const object = value as Record<string, unknown>;
  if (!names.some((name) => typeof object[name] === 'object' && object[name] !== null)) return;
  for (const [name, member] of membersOf(text, names)) object[name] = parse(member, undefined, exactNumber);
}

function exactNumber(literal: string): unknown {
  const value = Number(literal);
  return isNumber(literal) && String(value) === literal ? value : new RawJson(literal);
}

/** The texts of these members of the outermost object of valid JSON; of two with one name the last. */
function membersOf(text: string, names: readonly string[]): Map<string, string> {
  const members = new Map<string, string>();
  let depth = 0;
  let name = '';
  let start = -1; // of the member's value; -1: its name comes
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]!;
    if (char === '"') {
      const end = endOfString(text, at);
      if (depth === 1 && start < 0) name = JSON.parse(text.slice(at, end)) as string;
      at = end - 1;
    } else if (char === ':' && depth === 1) start = at + 1;
    else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']' || char === ',') {
      if (depth === 1) {
        if (names.includes(name)) members.set(name, text.slice(start, at));
        start = -1;
      }
      if (char !== ',') depth -= 1;
    }
  }
  return members;
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
