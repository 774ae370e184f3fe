import { AppError } from '#runtime/app-error.js';
import type { Alias } from './alias.entity.js';

/** What a caller expects of an alias before changing it. */
export type AliasPrecondition =
  | { readonly kind: 'absent' }
  | { readonly kind: 'present' }
  | { readonly kind: 'revision'; readonly revision: number };

/** Throws precondition_failed when the alias is not so; the adapter's row must be locked. */
export function checkPrecondition(current: Alias | null, expected: AliasPrecondition | undefined): void {
  if (!expected) return;
  const holds =
    expected.kind === 'absent'
      ? current === null
      : current !== null && (expected.kind === 'present' || current.revision === expected.revision);
  if (holds) return;
  throw new AppError('precondition_failed', {
    message: current ? `The alias is at revision ${current.revision}.` : 'There is no such alias.',
  });
}
