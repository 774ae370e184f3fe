import type { BaseModel } from '#contracts/base-model.js';
import type { Fit, FitQuery } from '#contracts/engines-api.js';
import { AppError } from '#runtime/app-error.js';

const ALL_LINEAR = 'all-linear';
/** The device keeps adapters in float32 at most. */
const ADAPTER_BYTES = 4;
/** Of one weight with its group's scale; what is not listed here is taken for 16 bits. */
const WEIGHT_BYTES: Readonly<Record<string, number>> = {
  int8: 1.06,
  int4: 0.56,
  nf4: 0.56,
  gptq: 0.56,
  awq: 0.56,
  mlx: 0.56,
  fp8: 1.06,
  'bitsandbytes-int8': 1.06,
};
const UNKNOWN_WEIGHT_BYTES = 2;

export interface FitLimits {
  readonly limitBytes: number;
  /** Undefined: the engine does not say. */
  readonly maxSequences: number | undefined;
}

/**
 * What adapters of that shape take and slow down. While answers are written, a step reads every weight once, and each
 * adapter of the batch once: the bytes' ratio is the share of speed that is left where memory is the bound.
 */
export function fitOf(
  base: Pick<BaseModel, 'modules' | 'quantization'>,
  { rank, modules, adapters }: FitQuery,
  { limitBytes, maxSequences = adapters }: FitLimits,
): Fit {
  const linear = base.modules.filter(({ kind }) => kind === 'linear');
  const kinds = kindsOf(linear, modules);
  const targets = linear.filter(({ name }) => kinds.includes(kindOf(name)));
  const elements = targets.reduce((sum, module) => sum + rank * (module.in + module.out), 0);
  const bytesEach = elements * ADAPTER_BYTES;
  const fitAtOnce = Math.floor(limitBytes / bytesEach);
  const perWeight = WEIGHT_BYTES[base.quantization] ?? UNKNOWN_WEIGHT_BYTES;
  const baseBytes = linear.reduce((sum, module) => sum + module.in * module.out, 0) * perWeight;
  const batch = Math.max(1, Math.min(adapters, maxSequences, fitAtOnce));
  const left = (count: number): number => baseBytes / (baseBytes + count * bytesEach);
  return {
    object: 'engine.fit',
    rank,
    modules: kinds,
    module_count: targets.length,
    adapters,
    bytes_each: bytesEach,
    bytes: bytesEach * adapters,
    limit_bytes: limitBytes,
    fit_at_once: fitAtOnce,
    beyond: Math.max(0, adapters - fitAtOnce),
    speed: { one_adapter: left(1), all_different: left(batch), batch },
  };
}

/** `model.layers.0.self_attn.q_proj` is a `q_proj`. */
const kindOf = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

function kindsOf(linear: BaseModel['modules'], wanted: string): string[] {
  const known = [...new Set(linear.map(({ name }) => kindOf(name)))];
  // As in PEFT, the output layer is no part of it.
  if (wanted === ALL_LINEAR) return known.filter((kind) => kind !== 'lm_head');
  const kinds = [...new Set(wanted.split(',').map((kind) => kind.trim()))].filter((kind) => kind !== '');
  const missing = kinds.find((kind) => !known.includes(kind));
  if (missing === undefined && kinds.length > 0) return kinds;
  throw new AppError('invalid_request', {
    message: `The base has no linear modules ${missing ?? wanted}; it has ${known.join(', ')}.`,
    param: 'modules',
  });
}
