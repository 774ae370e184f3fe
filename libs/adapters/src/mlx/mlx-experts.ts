import type { BaseExperts, BaseModel } from '#contracts/base-model.js';
import { DTYPE_BITS } from '#safetensors/dtype.js';
import type { TensorInfo } from '#safetensors/header.js';

/*
 * All experts of a layer at once, as MLX-LM has them: `mlp.switch_mlp.gate_proj` with lora_a [experts * rank, in], of
 * expert e the rows from e * rank on, and lora_b [experts, out, rank]. Each expert's piece is what PEFT has of it.
 */
const SWITCH =
  /^(.*layers\.(\d+)\.)(?:\w+\.)*?(?:switch_mlp|experts)\.(gate_proj|up_proj|down_proj)\.(lora_[ab])$/;

/** One expert's piece of a tensor, under its module's name. */
export interface ExpertPiece {
  readonly module: string;
  /** By which it is targeted, as its like of every layer is: a model has thousands. */
  readonly suffix: string;
  readonly layer: number;
  readonly part: 'lora_a' | 'lora_b';
  readonly from: TensorInfo;
}

/** Undefined: the tensor is of no experts of the base. A text: what is wrong with it. */
export function expertPieces(
  tensor: TensorInfo,
  rank: number,
  { experts = [] }: Pick<BaseModel, 'experts'>,
): readonly ExpertPiece[] | string | undefined {
  const [, before = '', number, leaf = '', part] = SWITCH.exec(tensor.name) ?? [];
  if (part !== 'lora_a' && part !== 'lora_b') return undefined;
  const layer = before.replace(/^language_model\./, '');
  const container = experts.find(({ name }) => name.startsWith(layer));
  if (!container) return undefined;
  const shape = part === 'lora_a' ? shapeOfA(tensor, rank, container) : shapeOfB(tensor, rank, container);
  if (!shape)
    return `has shape [${tensor.shape.join(', ')}], which is not ${container.count} experts of rank ${rank}`;
  const bytes = (shape[0] * shape[1] * DTYPE_BITS[tensor.dtype]) / 8;
  return Array.from({ length: container.count }, (_, expert) => {
    const module = `${container.name}.${expert}.${leaf}`;
    const begin = tensor.begin + expert * bytes;
    const suffix = `experts.${expert}.${leaf}`;
    return {
      module,
      suffix,
      layer: Number(number),
      part,
      from: { ...tensor, name: module, shape, begin, end: begin + bytes },
    };
  });
}

type Shape = readonly [number, number];

/** [experts * rank, in], or the same with a dimension for the experts. */
function shapeOfA({ shape }: TensorInfo, rank: number, { count }: BaseExperts): Shape | undefined {
  const [first = 0, ...rest] = shape;
  const [second = 0, third = 0] = rest;
  if (shape.length === 2 && first === count * rank) return [rank, second];
  return shape.length === 3 && first === count && second === rank ? [rank, third] : undefined;
}

function shapeOfB({ shape }: TensorInfo, rank: number, { count }: BaseExperts): Shape | undefined {
  const [first = 0, second = 0, third = 0] = shape;
  return shape.length === 3 && first === count && third === rank ? [second, rank] : undefined;
}
