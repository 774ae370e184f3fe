import type { UsageRecord } from '#accounts/usage.service.js';
import type { ResolvedVersion } from '#adapters/registry/model-resolver.service.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { compositionDigest } from '#runtime/composition-digest.js';

/** What a request's `model` stood for when it was admitted. */
export interface ServedModel {
  readonly base: BaseModel;
  /** In the order in which they are named, each with what its deltas are multiplied by; none: the base model itself. */
  readonly parts: readonly ServedPart[];
}

export interface ServedPart {
  readonly version: ResolvedVersion;
  readonly weight: number;
}

/** The version that answers alone and as it is; undefined: none does. */
export function versionAlone({ parts }: ServedModel, loraScale = 1): ResolvedVersion | undefined {
  const [first] = parts;
  return parts.length === 1 && first && first.weight * loraScale === 1 ? first.version : undefined;
}

/** What an engine is told of the adapters. */
export function adapterOf(
  { parts }: ServedModel,
  loraScale = 1,
): Pick<GenerateRequest, 'adapter' | 'composition' | 'adapterScale'> {
  const composition = parts.map(({ version: { digest }, weight }) => ({ digest, weight }));
  const [first] = composition;
  const isOne = composition.length <= 1;
  const scale = isOne ? loraScale * (first?.weight ?? 1) : loraScale;
  return {
    ...(first ? { adapter: isOne ? first.digest : compositionDigest(composition) } : {}),
    ...(isOne ? {} : { composition }),
    ...(scale === 1 ? {} : { adapterScale: scale }),
  };
}

/** As usage and the request log name what answered: one adapter with its version, or several by their names. */
export function servedName({ parts }: ServedModel): {
  readonly adapterId: string | undefined;
  readonly adapter: string | undefined;
  readonly version: number | undefined;
} {
  const [first] = parts;
  if (parts.length > 1 || !first) {
    const names = parts.map(({ version }) => version.callName).sort();
    return { adapterId: undefined, adapter: names.join('+') || undefined, version: undefined };
  }
  const { adapterId, callName, version } = first.version;
  return { adapterId, adapter: callName, version };
}

/** Of several adapters that answer together. */
export function membersOf({ parts }: ServedModel): Pick<UsageRecord, 'members'> {
  if (parts.length < 2) return {};
  return { members: parts.map(({ version: { adapterId, version } }) => ({ adapterId, version })) };
}

/** Digests are shown by their start: enough to tell base models apart. */
const SHOWN_DIGEST_LENGTH = 12;

/** The adapters with their versions and weights; undefined: the base model answers. */
export function adaptersOf({ parts }: ServedModel): string | undefined {
  const named = parts.map(
    ({ version: { callName, version }, weight }) =>
      `${callName}@${version}${weight === 1 ? '' : `*${weight}`}`,
  );
  return named.join('+') || undefined;
}

/** OpenAI's `system_fingerprint`: engine, base digest, and the adapters. */
export function fingerprint(engines: readonly string[], model: ServedModel): string {
  const known = [[...new Set(engines)].join('+'), model.base.digest.slice(0, SHOWN_DIGEST_LENGTH)];
  return [...known, adaptersOf(model)].filter((part) => part !== undefined).join('/');
}
