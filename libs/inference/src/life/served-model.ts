import type { BaseModel } from '#contracts/base-model.js';
import type { ResolvedVersion } from '#adapters/registry/model-resolver.service.js';

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
