import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import { compositionDigest, inSumOrder } from '#runtime/composition-digest.js';
import { beyondDeltas } from './scaled-delta.js';

/** One adapter of a composition. */
export interface CompositionPart {
  readonly digest: string;
  readonly manifest: AdapterManifest;
  readonly weight: number;
}

/** Of an adapter, or of several as one. */
export interface HeldManifest extends AdapterManifest {
  /** In the order in which their deltas are added up; absent: it is one adapter. */
  readonly parts?: readonly CompositionPart[];
}

type Asked = Pick<GenerateRequest, 'adapter' | 'composition'>;

/**
 * Several adapters as one: as large as all of them, with the chat template and the defaults of the one that is named
 * first. Refuses what has no sum: PEFT, too, adds up low-rank deltas alone.
 */
export async function compose(
  { adapter, composition = [] }: Asked,
  manifestOf: (digest: string) => Promise<AdapterManifest>,
): Promise<HeldManifest> {
  if (new Set(composition.map(({ digest }) => digest)).size < composition.length)
    throw fault('one of the adapters is named twice');
  if (compositionDigest(composition) !== adapter) throw fault('the digest is of another composition');
  const named = await Promise.all(
    composition.map(async (part) => ({ ...part, manifest: await manifestOf(part.digest) })),
  );
  for (const [i, { manifest }] of named.entries()) {
    const what = beyondDeltas(manifest);
    if (manifest.invocationTokens !== undefined)
      throw fault(
        `an activated LoRA (alora_invocation_tokens) goes alone, and adapter ${i + 1} of ${named.length} is one`,
      );
    if (what !== undefined)
      throw fault(`only low-rank deltas can be added up, and adapter ${i + 1} of ${named.length} ${what}`);
  }
  const [first] = named;
  if (first === undefined) throw new Error('broken invariant: a composition of nothing');
  const parts = inSumOrder(named);
  return { ...first.manifest, modules: parts.flatMap(({ manifest }) => manifest.modules), parts };
}

function fault(message: string): AppError {
  return new AppError('invalid_request', { message: `model: ${message}`, param: 'model' });
}
