import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const PACKED_METHODS = ['gptq', 'awq', 'compressed-tensors', 'fp8', 'bitsandbytes', 'mlx'] as const;
type PackedMethod = (typeof PACKED_METHODS)[number];

/** How a checkpoint is quantized. */
export interface Quantization {
  /** As its tool is called. */
  readonly name: string;
  /** Undefined: its weights are not read here. */
  readonly packed: QuantizedConfig | undefined;
}

/** What a tool says of the weights that it packed, as far as the tensors do not say it. */
export interface QuantizedConfig {
  readonly method: PackedMethod;
  /** Of a code, as far as the tool says it. */
  readonly bits: number;
  /** Of GPTQ: zeros are stored as one less. */
  readonly zerosLessOne: boolean;
  /** Of GPTQ; 0: one group for a row. */
  readonly groupSize: number;
  /** Outputs and inputs that share a scale, of FP8 in blocks. */
  readonly block: readonly [number, number];
  /** Of MLX: modules that are packed otherwise than the rest, by their names. */
  readonly own: ReadonlyMap<string, { readonly bits: number; readonly groupSize: number }>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Descriptions beside config.json, and how their tools are called where the file does not say it. */
const OWN_FILES: Readonly<Record<string, string>> = {
  'quantize_config.json': 'gptq',
  'quant_config.json': 'awq',
  'hf_quant_config.json': 'modelopt',
};

/** Files that say how a checkpoint is packed: a dense one has none of them. */
export const QUANTIZATION_FILES: readonly string[] = Object.keys(OWN_FILES);

/** Undefined: nobody says that the checkpoint is quantized. */
export async function readQuantization(folder: string, config: Fields): Promise<Quantization | undefined> {
  const said = config.quantization_config ?? config.quantization;
  if (isFields(said)) return quantization(config.quantization === undefined ? methodOf(said) : 'mlx', said);
  for (const [name, method] of Object.entries(OWN_FILES)) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const own = JSON.parse(text) as Fields;
    return quantization(method, isFields(own.quantization) ? own.quantization : own);
  }
  return undefined;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

const methodOf = ({ quant_method }: Fields): string =>
  typeof quant_method === 'string' ? quant_method : 'unknown';

const METHODS: Readonly<Record<string, PackedMethod>> = {
  gptq: 'gptq',
  awq: 'awq',
  'compressed-tensors': 'compressed-tensors',
  fp8: 'fp8',
  fbgemm_fp8: 'fp8',
  modelopt: 'fp8',
  bitsandbytes: 'bitsandbytes',
  mlx: 'mlx',
};

function quantization(name: string, fields: Fields): Quantization {
  const method = METHODS[name];
  return { name, packed: method && packedConfig(method, fields) };
}

function packedConfig(method: PackedMethod, fields: Fields): QuantizedConfig {
  const format = fields.checkpoint_format ?? fields.format ?? 'gptq';
  const group = fields.group_size;
  return {
    method,
    bits: bitsOf(method, fields),
    zerosLessOne: format === 'gptq',
    groupSize: typeof group === 'number' && group > 0 ? group : 0,
    block: blockOf(fields.weight_block_size) ?? schemeBlock(fields) ?? [1, 1],
    own: new Map(method === 'mlx' ? ownModules(fields) : []),
  };
}

function bitsOf(method: PackedMethod, fields: Fields): number {
  if (method === 'fp8') return 8;
  if (method === 'awq') return 4;
  if (method === 'bitsandbytes') return fields.load_in_8bit === true ? 8 : 4;
  const said =
    method === 'compressed-tensors' ? schemes(fields).map(({ num_bits }) => num_bits) : [fields.bits];
  const known = said.filter((bits) => typeof bits === 'number' && bits >= 1 && bits <= 16);
  return known.length > 0 ? Math.min(...(known as number[])) : 4;
}

const schemeBlock = (fields: Fields): readonly [number, number] | undefined =>
  schemes(fields)
    .map(({ block_structure }) => blockOf(block_structure))
    .find((block) => block !== undefined);

/** Of compressed-tensors: how the groups of modules are packed. */
function schemes({ config_groups }: Fields): Fields[] {
  if (!isFields(config_groups)) return [];
  return Object.values(config_groups).flatMap((group) =>
    isFields(group) && isFields(group.weights) ? [group.weights] : [],
  );
}

function ownModules(fields: Fields): [string, { bits: number; groupSize: number }][] {
  return Object.entries(fields).flatMap(([name, value]) => {
    if (!isFields(value)) return [];
    const { bits, group_size: groupSize } = value;
    return typeof bits === 'number' && typeof groupSize === 'number' ? [[name, { bits, groupSize }]] : [];
  });
}

function blockOf(value: unknown): readonly [number, number] | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [rows, columns] = value as unknown[];
  return typeof rows === 'number' && typeof columns === 'number' && rows >= 1 && columns >= 1
    ? [rows, columns]
    : undefined;
}
