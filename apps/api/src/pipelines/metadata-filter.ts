import { AppError } from '#runtime/app-error.js';

const MEMBER = /^metadata\[(.*)\]$/s;
const MAX_PAIRS = 16;

/** OpenAI's filter of lists, `metadata[key]=value` or `metadata=null`; undefined: there is none. */
export function metadataFilter(
  query: Readonly<Record<string, unknown>>,
): Readonly<Record<string, string>> | null | undefined {
  if (query.metadata === 'null') return null;
  if (query.metadata !== undefined) throw bad('metadata', 'expected metadata[key]=value, or metadata=null');
  const pairs = Object.entries(query).flatMap(([name, value]) => {
    const key = MEMBER.exec(name)?.[1];
    if (key === undefined) return [];
    if (typeof value !== 'string') throw bad(name.slice(0, 100), 'expected one value');
    return [[key, value] as const];
  });
  if (pairs.length > MAX_PAIRS) throw bad('metadata', `expected at most ${MAX_PAIRS} pairs`);
  return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
}

function bad(param: string, message: string): AppError {
  return new AppError('invalid_request', { message: `${param}: ${message}`, param });
}
