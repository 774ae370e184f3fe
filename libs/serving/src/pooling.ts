import { join } from 'node:path';
import { z } from 'zod';
import { AppError } from '#runtime/app-error.js';
import { readJsonIfThere } from './text/json-file.js';

/** How a text's hidden states become one vector. */
export interface Pooling {
  readonly kind: 'last' | 'mean' | 'cls';
  /** To length 1. */
  readonly normalize: boolean;
}

/** Of a checkpoint that says nothing: a decoder's last token has seen all others, and OpenAI's vectors have length 1. */
export const OF_A_DECODER: Pooling = { kind: 'last', normalize: true };

const ModulesSchema = z.array(z.looseObject({ type: z.string(), path: z.string().default('') }));
const KINDS = {
  pooling_mode_lasttoken: 'last',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_cls_token: 'cls',
} as const;
const PoolingConfigSchema = z.record(z.string(), z.unknown());

/**
 * What sentence-transformers' modules.json says of a checkpoint. A way of pooling that is not known here is told to whoever
 * asks for a vector: the model may serve everything else.
 */
export async function readPooling(modelPath: string): Promise<Pooling | AppError> {
  const file = await readJsonIfThere(join(modelPath, 'modules.json'));
  if (file === undefined) return OF_A_DECODER;
  const modules = ModulesSchema.safeParse(file);
  if (!modules.success) return unknown('modules.json cannot be read');
  const types = modules.data.map(({ type }) => type.split('.').at(-1) ?? '');
  const other = types.find((type) => !['Transformer', 'Pooling', 'Normalize'].includes(type));
  if (other !== undefined) return unknown(`it has a module ${other}`);
  const normalize = types.includes('Normalize');
  const pooling = modules.data[types.indexOf('Pooling')];
  if (!pooling) return { ...OF_A_DECODER, normalize };
  const config = PoolingConfigSchema.safeParse(
    await readJsonIfThere(join(modelPath, pooling.path, 'config.json')),
  );
  if (!config.success) return unknown(`${pooling.path}/config.json cannot be read`);
  return poolingOf(config.data, normalize);
}

function poolingOf(config: Record<string, unknown>, normalize: boolean): Pooling | AppError {
  const set = Object.keys(config).filter((name) => name.startsWith('pooling_mode_') && config[name] === true);
  const [name, ...more] = set;
  const kind = name !== undefined && name in KINDS ? KINDS[name as keyof typeof KINDS] : undefined;
  if (kind === undefined || more.length > 0) return unknown(`it pools by ${set.join(' and ') || 'nothing'}`);
  return { kind, normalize };
}

function unknown(what: string): AppError {
  return new AppError('invalid_request', {
    message: `The base model's vectors cannot be computed here: by its sentence-transformers configuration ${what}.`,
    param: 'model',
  });
}

/** The vector as it is given out. */
export function finished(vector: Float32Array, { normalize }: Pooling): Float32Array {
  if (!normalize) return vector;
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.sqrt(squares);
  return length === 0 ? vector : vector.map((value) => value / length);
}
