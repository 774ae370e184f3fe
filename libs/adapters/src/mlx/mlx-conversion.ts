import type { AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import { type Dtype, DTYPE_BITS } from '#safetensors/dtype.js';
import type { SafetensorsHeader, TensorInfo } from '#safetensors/header.js';
import { layOut } from '#safetensors/writer.js';
import type { MlxAdapter } from './mlx-config.js';

/** Held in memory one at a time while it is transposed. */
const MAX_TENSOR_BYTES = 256 * 2 ** 20;
const NAME = /^(.+)\.(lora_a|lora_b|m)$/;
const LAYER = /(?:^|\.)layers\.(\d+)\./;

interface ConvertedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly from: TensorInfo;
}

/** An MLX-LM adapter as PEFT would have saved it. */
export interface MlxConversion {
  readonly configJson: string;
  readonly tensors: readonly ConvertedTensor[];
}

/** lora_a [in, rank] becomes lora_A [rank, in], lora_b [rank, out] lora_B [out, rank], DoRA's m the magnitude. */
export function planConversion(
  adapter: MlxAdapter,
  header: SafetensorsHeader,
  base: BaseModel,
): MlxConversion | { readonly errors: readonly AdapterProblem[] } {
  const kinds = new Map(base.modules.map(({ name, kind }) => [name, kind]));
  const errors: AdapterProblem[] = [];
  const tensors: ConvertedTensor[] = [];
  const targets = new Set<string>();
  for (const tensor of header.tensors) {
    const [, path, part] = NAME.exec(tensor.name) ?? [];
    const fault = path === undefined ? 'is no name that MLX-LM writes' : faultOf(tensor, part, adapter, base);
    if (fault !== undefined || path === undefined) {
      errors.push({ code: 'tensor_name_invalid', message: `${tensor.name} ${fault}.`, tensor: tensor.name });
      continue;
    }
    const module = kinds.has(path) ? path : path.replace(/^language_model\./, '');
    targets.add(module);
    const name = `base_model.model.${module}.${peftPart(part, kinds.get(module) === 'embedding')}`;
    tensors.push({ name, dtype: tensor.dtype, shape: tensor.shape.toReversed(), from: tensor });
  }
  if (errors.length > 0) return { errors };
  return { configJson: JSON.stringify(peftConfig(adapter, [...targets])), tensors };
}

function faultOf(
  { name, shape, begin, end, dtype }: TensorInfo,
  part: string | undefined,
  { layers }: MlxAdapter,
  { numLayers }: BaseModel,
): string | undefined {
  const layer = LAYER.exec(name)?.[1];
  if (layer !== undefined && Number(layer) < numLayers - layers) {
    return `belongs to layer ${layer}, but num_layers says that only the last ${layers} of ${numLayers} have an adapter`;
  }
  if (shape.length !== (part === 'm' ? 1 : 2)) return `has ${shape.length} dimensions`;
  if (end - begin > MAX_TENSOR_BYTES || DTYPE_BITS[dtype] % 8 !== 0) return 'is too large to be transposed';
  return undefined;
}

function peftPart(part: string | undefined, embedding: boolean): string {
  if (part === 'm') return 'lora_magnitude_vector';
  const letter = part === 'lora_a' ? 'A' : 'B';
  return embedding ? `lora_embedding_${letter}` : `lora_${letter}.weight`;
}

function peftConfig({ rank, scale, dora, model }: MlxAdapter, targets: readonly string[]) {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: model,
    r: rank,
    lora_alpha: scale * rank,
    use_dora: dora,
    target_modules: targets,
  };
}

/** The converted file from its first byte; `read` gives the bytes of the original file from `begin` to `end`. */
export async function* convertedFile(
  { tensors }: MlxConversion,
  read: (begin: number, end: number) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const { head, order } = layOut(tensors);
  yield head;
  for (const { from, dtype } of order) {
    const bytes = await read(from.begin, from.end);
    yield from.shape.length === 2 ? transposed(bytes, from.shape, DTYPE_BITS[dtype] / 8) : bytes;
  }
}

/** [rows, columns] to [columns, rows]. */
function transposed(bytes: Uint8Array, shape: readonly number[], width: number): Uint8Array {
  const [rows = 0, columns = 0] = shape;
  const result = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const from = (row * columns + column) * width;
      const to = (column * rows + row) * width;
      for (let i = 0; i < width; i += 1) result[to + i] = bytes[from + i] ?? 0;
    }
  }
  return result;
}
