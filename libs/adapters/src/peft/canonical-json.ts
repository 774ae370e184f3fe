import { createHash } from 'node:crypto';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';

/** JSON with sorted keys and no space: equal values give equal bytes. `undefined` members are left out. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new TypeError('JSON has no NaN and no infinity');
  if (typeof value !== 'object' || value === null) {
    const scalar = JSON.stringify(value);
    if (scalar === undefined) throw new TypeError(`JSON has no ${typeof value}`);
    return scalar;
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

/** A version's identity: SHA-256 (hex) of its manifest, which holds the SHA-256 of the weights. */
export function manifestDigest(manifest: AdapterManifest): string {
  return createHash('sha256').update(canonicalJson(manifest)).digest('hex');
}
