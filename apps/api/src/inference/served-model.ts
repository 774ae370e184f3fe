import type { BaseModel } from '#contracts/base-model.js';
import type { ResolvedVersion } from '#adapters/registry/model-resolver.service.js';
import { AppError } from '#runtime/app-error.js';

/** What a request's `model` stood for when it was admitted. */
export interface ServedModel {
  readonly base: BaseModel;
  /** Absent: the base model itself. */
  readonly version: ResolvedVersion | undefined;
}

/** Digests are shown by their start: enough to tell base models apart. */
const SHOWN_DIGEST_LENGTH = 12;

/** OpenAI's `system_fingerprint`: engine, base digest, and the adapter with its version. */
export function fingerprint(engines: readonly string[], { base, version }: ServedModel): string {
  const parts = [[...new Set(engines)].join('+'), base.digest.slice(0, SHOWN_DIGEST_LENGTH)];
  if (version) parts.push(`${version.callName}@${version.version}`);
  return parts.join('/');
}

/** A version was validated against one base model and fits no other. */
export function checkBase({ base, version }: ServedModel): void {
  if (!version || version.baseDigest === base.digest) return;
  throw new AppError('version_not_ready', {
    message:
      `${version.callName}@${version.version} was made for another base model than "${base.name}", ` +
      'which is served now: upload its files again to have them validated for this one.',
    param: 'model',
  });
}
