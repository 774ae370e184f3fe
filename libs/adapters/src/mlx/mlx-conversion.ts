import type { AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import { type Dtype, DTYPE_BITS } from '#safetensors/dtype.js';
import type { SafetensorsHeader, TensorInfo } from '#safetensors/header.js';
import { layOut } from '#safetensors/writer.js';
import type { MlxAdapter } from './mlx-config.js';
import { expertPieces } from './mlx-experts.js';

/** Held in memory one at a time while it is transposed. */
const MAX_TENSOR_BYTES = 256 * 2 ** 20;
const NAME = /^(.+)\.(lora_a|lora_b|m)$/;
const LAYER = /(?:^|\.)layers\.(\d+)\./;

interface ConvertedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly from: TensorInfo;
  readonly transposed: boolean;
}

/** An MLX-LM adapter as PEFT would have saved it. */
export interface MlxConversion {
  readonly configJson: string;
  readonly tensors: readonly ConvertedTensor[];
}

/**
 * lora_a [in, rank] becomes lora_A [rank, in], lora_b [rank, out] lora_B [out, rank], DoRA's m the magnitude; what is of all
 * experts of a layer becomes single experts.
 */
export function planConversion(
  adapter: MlxAdapter,
  header: SafetensorsHeader,
  base: BaseModel,
): MlxConversion | { readonly errors: readonly AdapterProblem[] } {
  const kinds = new Map(base.modules.map(({ name, kind }) => [name, kind]));
  const errors: AdapterProblem[] = [];
  const tensors: ConvertedTensor[] = [];
  const targets = new Set<string>();
  const expertLayers = new Set<number>();
  for (const tensor of header.tensors) {
    const pieces = expertPieces(tensor, adapter.rank, base);
    const misplaced = pieces && outsideOf(tensor, adapter, base);
    if (typeof pieces === 'string' || misplaced !== undefined) {
      const message = `${tensor.name} ${misplaced ?? String(pieces)}.`;
      errors.push({ code: 'tensor_name_invalid', message, tensor: tensor.name });
      continue;
    }
    if (pieces) {
      for (const { module, suffix, layer, part, from } of pieces) {
        targets.add(suffix);
        expertLayers.add(layer);
        const name = `base_model.model.${module}.${peftPart(part, false)}`;
        tensors.push({ name, dtype: from.dtype, shape: from.shape, from, transposed: false });
      }
      continue;
    }
    const [, path, part] = NAME.exec(tensor.name) ?? [];
    const fault = path === undefined ? 'is no name that MLX-LM writes' : faultOf(tensor, part, adapter, base);
    if (fault !== undefined || path === undefined) {
      errors.push({ code: 'tensor_name_invalid', message: `${tensor.name} ${fault}.`, tensor: tensor.name });
      continue;
    }
    const module = kinds.has(path) ? path : path.replace(/^language_model\./, '');
    targets.add(module);
    const name = `base_model.model.${module}.${peftPart(part, kinds.get(module) === 'embedding')}`;
    const [shape, transposed] = [tensor.shape.toReversed(), tensor.shape.length === 2];
    tensors.push({ name, dtype: tensor.dtype, shape, from: tensor, transposed });
  }
  if (errors.length > 0) return { errors };
  // Names in full are not filtered by it.
  const layers = expertLayers.size > 0 &&
    expertLayers.size < (base.experts?.length ?? 0) && {
      layers_to_transform: [...expertLayers],
      layers_pattern: 'layers',
    };
  const config = { ...peftConfig(adapter, [...targets]), ...layers };
  return { configJson: JSON.stringify(config), tensors };
}

function outsideOf(
  { name }: TensorInfo,
  { layers }: MlxAdapter,
  { numLayers }: BaseModel,
): string | undefined {
  const layer = LAYER.exec(name)?.[1];
  if (layer === undefined || Number(layer) >= numLayers - layers) return undefined;
  return `belongs to layer ${layer}, but num_layers says that only the last ${layers} of ${numLayers} have an adapter`;
}

function faultOf(
  tensor: TensorInfo,
  part: string | undefined,
  adapter: MlxAdapter,
  base: BaseModel,
): string | undefined {
  const { shape, begin, end, dtype } = tensor;
  const outside = outsideOf(tensor, adapter, base);
  if (outside !== undefined) return outside;
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
  for (const { from, dtype, transposed: isTransposed } of order) {
    const bytes = await read(from.begin, from.end);
    yield isTransposed ? transposed(bytes, from.shape, DTYPE_BITS[dtype] / 8) : bytes;
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
