import type { IncomingHttpHeaders } from 'node:http';
import type { AliasPrecondition } from '#adapters/aliases/alias-precondition.js';
import { AppError } from '#runtime/app-error.js';

/** The alias's revision as an entity tag. */
export const etagOf = (revision: number): string => `"${revision}"`;

/** `If-Match: "7"`, `If-Match: *` (it must be there) or `If-None-Match: *` (it must not). */
export function preconditionOf(headers: IncomingHttpHeaders): AliasPrecondition | undefined {
  const match = headers['if-match']?.trim();
  const noneMatch = headers['if-none-match']?.trim();
  if (match === undefined && noneMatch === undefined) return undefined;
  if (match === undefined) {
    if (noneMatch === '*') return { kind: 'absent' };
    throw badHeader('If-None-Match', '*');
  }
  if (noneMatch !== undefined) throw badHeader('If-None-Match', 'nothing beside If-Match');
  if (match === '*') return { kind: 'present' };
  const revision = /^"?([1-9][0-9]{0,9})"?$/.exec(match)?.[1];
  if (revision === undefined) throw badHeader('If-Match', 'the etag of an alias, e.g. "7", or *');
  return { kind: 'revision', revision: Number(revision) };
}

function badHeader(name: string, expected: string): AppError {
  return new AppError('invalid_request', { message: `${name}: expected ${expected}`, param: name });
}
