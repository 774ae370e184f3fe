import { z } from 'zod';
import type { GgufMetadata } from '#native-engine/native.js';
import { AppError } from '#runtime/app-error.js';
import { ModelError } from '../model-error.js';
import { OF_A_DECODER, type Pooling } from '../pooling.js';
import type { NamedTemplates } from '../text/chat-template.js';
import type { Checkpoint, Heads, InspectNative } from './checkpoint.js';
import { ggufTokenizer } from './gguf-tokenizer.js';
import { readFields, tokensOf } from './gguf-vocabulary.js';

export async function ggufCheckpoint(path: string, inspectNative: InspectNative): Promise<Checkpoint> {
  const inspection = inspectNative(path);
  const metadata = inspection.gguf;
  if (metadata === undefined) throw new ModelError(`${path}: is no GGUF file`);
  try {
    const templates = templatesOf(metadata);
    return {
      inspection,
      tokenizer: ggufTokenizer(metadata),
      templates,
      eosTokenIds: endsOf(metadata, templates),
      pooling: poolingOf(metadata),
      heads: headsOf(metadata),
    };
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    throw new ModelError(`${path}: the tokenizer cannot be used: ${error.message}`, { cause: error });
  }
}

const TEMPLATE = 'tokenizer.chat_template';

function templatesOf(metadata: GgufMetadata): NamedTemplates {
  const templates = new Map<string, string>();
  for (const [key, value] of Object.entries(metadata)) {
    const name =
      key === TEMPLATE ? 'default' : key.startsWith(`${TEMPLATE}.`) && key.slice(TEMPLATE.length + 1);
    if (typeof name !== 'string') continue;
    if (typeof value !== 'string') throw new ModelError(`${key} must be a text`);
    templates.set(name, value);
  }
  return templates;
}

/** How the common families spell the end of a turn. */
const TURN_ENDS: ReadonlySet<string> = new Set([
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<end_of_turn>',
  '<|END_OF_TURN_TOKEN|>',
  '<EOT>',
  '[EOT]',
]);

/**
 * GGUF keeps one EOS where generation_config.json may list several: the other ends are those that the file names, and the
 * control tokens by which its own chat template ends a turn.
 */
function endsOf(metadata: GgufMetadata, templates: NamedTemplates): number[] {
  const fields = readFields(metadata);
  const named = [fields.eos_token_id, fields.eot_token_id, fields.eom_token_id].filter(
    (id) => id !== undefined,
  );
  const sources = [...templates.values()];
  const ofTemplates = tokensOf(fields).filter(
    ({ kind, text }) =>
      kind === 'control' && TURN_ENDS.has(text) && sources.some((source) => source.includes(text)),
  );
  return [...named, ...ofTemplates.map(({ id }) => id)];
}

/** pooling_type: none, mean, cls, last; rank is a cross-encoder's. */
const POOLING: readonly (Pooling['kind'] | undefined)[] = [undefined, 'mean', 'cls', 'last'];

function poolingOf(metadata: GgufMetadata): Pooling | AppError {
  const key = `${String(metadata['general.architecture'])}.pooling_type`;
  const type = z.int().min(0).optional().safeParse(metadata[key]);
  if (type.data === undefined || type.data === 0) return OF_A_DECODER;
  const kind = POOLING[type.data];
  if (kind !== undefined) return { kind, normalize: true };
  const message = `The base model's vectors cannot be computed here: its ${key} is ${type.data}.`;
  return new AppError('invalid_request', { message, param: 'model' });
}

function headsOf(metadata: GgufMetadata): Heads {
  const prefix = `${String(metadata['general.architecture'])}.attention.head_count`;
  // The same for all layers, or native has refused it.
  const [heads, keyHeads] = [metadata[prefix], metadata[`${prefix}_kv`]].map((value) => [value].flat()[0]);
  if (typeof heads !== 'number') return {};
  return { heads, keyHeads: typeof keyHeads === 'number' ? keyHeads : heads };
}
