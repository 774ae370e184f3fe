import type { AdapterManifest, ManifestModule, TensorRef } from '#contracts/adapter-manifest.js';
import { decodeFloats } from '#safetensors/floats.js';
import { DerivationRefused } from './derivation-refused.js';
import { type ExpertPlace, expertFactors, expertsOf } from './expert-stacks.js';
import type { LowRank } from './low-rank.js';

/** A version that another is made from. */
export interface SourceVersion {
  /** `adapter@3` */
  readonly name: string;
  readonly weight: number;
  readonly manifest: AdapterManifest;
  /** adapter_config.json as it came. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Bytes of the weights that the manifest is of. */
  readonly read: (begin: number, end: number) => Promise<Uint8Array>;
}

export interface Delta {
  readonly rank: number;
  readonly scale: number;
  readonly a: TensorRef;
  readonly b: TensorRef;
  /** The factors are those of a stack: this is one expert's part. */
  readonly expert?: ExpertPlace;
}

const MODULE_PARTS = new Set(['module', 'lora']);
const LORA_PARTS = new Set(['rank', 'scale', 'a', 'b', 'turned']);
const WORDS: Readonly<Record<string, string>> = {
  magnitude: 'DoRA',
  weight: 'replaces a weight (modules_to_save)',
  bias: 'replaces a bias (bias)',
  tokenRows: 'replaces rows of tokens (trainable_token_indices)',
  loraBias: 'has a bias of its own (lora_bias)',
};

/** The deltas of a version that is nothing else, by module. Throws DerivationRefused for any other: it has no sum. */
export function plainDeltas({ name, manifest }: SourceVersion): ReadonlyMap<string, Delta> {
  if (manifest.invocationTokens)
    throw new DerivationRefused(`${name} is an activated LoRA, which is not composed with others.`);
  if (manifest.vocabSize !== undefined)
    throw new DerivationRefused(
      `${name} has a vocabulary of its own (${manifest.vocabSize} tokens), and is not composed with others.`,
    );
  return new Map(manifest.modules.flatMap((module) => plainDelta(name, module)));
}

function plainDelta(version: string, module: ManifestModule): [string, Delta][] {
  const { lora } = module;
  const other =
    Object.keys(module).find((part) => !MODULE_PARTS.has(part)) ??
    Object.keys(lora ?? {}).find((part) => !LORA_PARTS.has(part));
  if (other !== undefined) {
    throw new DerivationRefused(
      `${version} is more than low-rank deltas: ${module.module} ${WORDS[other] === 'DoRA' ? 'is trained with DoRA' : (WORDS[other] ?? `has ${other}`)}, which has no sum.`,
    );
  }
  if (lora && isFactored(lora)) return [[module.module, lora]];
  const stacked = lora && stackedDeltas(module);
  if (stacked) return stacked;
  throw new DerivationRefused(
    `${version} has no low-rank factors of ${module.module} that can be computed with.`,
  );
}

/** The deltas of the experts of a stack, by the names of single experts; undefined: it is none. */
export function stackedDeltas(module: ManifestModule): [string, Delta][] | undefined {
  const { lora } = module;
  const places = expertsOf(module);
  if (!lora || !places) return undefined;
  const { rank, scale, a, b } = lora;
  return [...places].map(([name, expert]) => [name, { rank, scale, a, b, expert }]);
}

export function isFactored({ rank, a, b }: Delta): boolean {
  return a.shape.length === 2 && b.shape.length === 2 && a.shape[0] === rank && b.shape[1] === rank;
}

/** Factors of the stack that was read last, of each version: its experts come one after the other. */
const lastStack = new WeakMap<SourceVersion, { readonly name: string; readonly factors: LowRank }>();

export async function readFactors(source: SourceVersion, delta: Delta): Promise<LowRank> {
  const { expert, a } = delta;
  if (!expert) return readWhole(source, delta);
  const before = lastStack.get(source);
  const factors = before?.name === a.name ? before.factors : await readWhole(source, delta);
  lastStack.set(source, { name: a.name, factors });
  return expertFactors(factors, expert);
}

async function readWhole(source: SourceVersion, { rank, scale, a, b }: Delta): Promise<LowRank> {
  const read = async ({ dtype, begin, end }: TensorRef): Promise<Float32Array> =>
    decodeFloats(dtype, await source.read(begin, end));
  return { rank, scale, a: await read(a), b: await read(b) };
}
