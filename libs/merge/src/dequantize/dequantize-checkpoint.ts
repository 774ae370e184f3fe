import { copyFile, mkdir, open, type FileHandle, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFloats } from '#safetensors/floats.js';
import type { TensorInfo } from '#safetensors/header.js';
import { layOut } from '#safetensors/writer.js';
import type { Checkpoint } from '../checkpoint.js';
import { MergeError } from '../merge-error.js';
import { TensorFile } from '../tensor-file.js';
import { type CodedWeight, rowOf } from './coded-weight.js';
import { PackedModule, type Part } from './packed-module.js';
import { QUANTIZATION_FILES, type QuantizedConfig } from './quantized-config.js';
import { isPacked, readPacked } from './read-packed.js';

const INDEX = 'model.safetensors.index.json';
/** Of a weight's rows, held at once. */
const CHUNK_ELEMENTS = 4 * 2 ** 20;
/** What a tool keeps of activations and of the cache, and what only its own kernels read. */
const UNUSED = /\.(?:(?:input|output|k|v|q|prob)_scale|activation_scale|input_scale_ub|weight_format)$/;

interface Place {
  readonly file: TensorFile;
  readonly tensor: TensorInfo;
}

interface Output {
  readonly name: string;
  readonly dtype: TensorInfo['dtype'];
  readonly shape: readonly number[];
  /** A module's packed weight; absent: a tensor that stays as it is. */
  readonly weight?: { readonly module: string };
  readonly from: Place;
}

export interface Dequantize {
  readonly base: Checkpoint;
  readonly quantized: QuantizedConfig;
  /** Is made. */
  readonly target: string;
  /** Of the weights; absent: BF16. */
  readonly dtype?: 'BF16' | 'F32';
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Writes the checkpoint with each packed weight as bfloat16 or float32, one module after the other: what the codes stand for,
 * rounded once. All else stays as it is. Throws MergeError.
 */
export async function dequantizeCheckpoint(order: Dequantize): Promise<void> {
  const { base, target } = order;
  await mkdir(target, { recursive: true, mode: 0o700 });
  const files: TensorFile[] = [];
  try {
    for (const shard of base.shards) files.push(await TensorFile.open(join(base.folder, shard)));
    const modules = modulesOf(files);
    const weightMap: Record<string, string> = {};
    let total = 0;
    for (const [at, shard] of base.shards.entries()) {
      const outputs = outputsOf(files[at] as TensorFile, modules, order);
      if (outputs.length === 0) continue;
      total += await writeShard(order, { path: join(target, shard), outputs, modules });
      for (const { name } of outputs) weightMap[name] = shard;
    }
    await writeRest(order, { weightMap, total });
  } finally {
    for (const file of files) await file.close();
  }
}

type Modules = ReadonlyMap<string, ReadonlyMap<string, Place>>;

/** Tensors by module and by what follows its name. A state of bitsandbytes lies one step deeper. */
function modulesOf(files: readonly TensorFile[]): Modules {
  const modules = new Map<string, Map<string, Place>>();
  for (const file of files) {
    for (const tensor of file.header.tensors) {
      const [, module = '', suffix = tensor.name] =
        /^(.+?)\.(weight\.[^.]+(?:\..+)?|[^.]+)$/.exec(tensor.name) ?? [];
      const parts = modules.get(module) ?? new Map<string, Place>();
      parts.set(suffix, { file, tensor });
      modules.set(module, parts);
    }
  }
  return modules;
}

/** Which of a module's tensors says where its weight is written. */
const CARRIERS = ['qweight', 'weight_packed', 'weight'];
/** Of a packed module, all that stays. */
const KEPT = new Set(['bias']);

function outputsOf(
  file: TensorFile,
  modules: Modules,
  { quantized, dtype: written = 'BF16' }: Dequantize,
): Output[] {
  const outputs: Output[] = [];
  for (const [module, parts] of modules) {
    const packed = isPacked((suffix) => parts.has(suffix), quantized);
    const carrier = packed ? CARRIERS.find((suffix) => parts.has(suffix)) : undefined;
    for (const [suffix, from] of parts) {
      if (from.file !== file || UNUSED.test(from.tensor.name)) continue;
      if (packed && suffix === carrier) {
        outputs.push({ name: `${module}.weight`, dtype: written, shape: [], weight: { module }, from });
      } else if (!packed || KEPT.has(suffix)) {
        const { name, dtype, shape } = from.tensor;
        outputs.push({ name, dtype, shape, from });
      }
    }
  }
  return outputs;
}

async function writeShard(
  order: Dequantize,
  { path, outputs, modules }: { path: string; outputs: readonly Output[]; modules: Modules },
): Promise<number> {
  const shaped: Output[] = [];
  for (const output of outputs) {
    if (!output.weight) shaped.push(output);
    else {
      // Read for its shape alone: the weights of a shard are not held together.
      const { rows, columns } = await read(output.weight.module, modules, order.quantized);
      shaped.push({ ...output, shape: [rows, columns] });
    }
  }
  const { head, order: placed } = layOut(shaped, { format: 'pt' });
  const to = await open(path, 'w', 0o600);
  try {
    let at = head.length;
    await write(to, head, 0);
    for (const output of placed) {
      order.signal.throwIfAborted();
      at += output.weight
        ? await writeWeight(
            { to, begin: at },
            order,
            await read(output.weight.module, modules, order.quantized),
          )
        : await copyTensor(to, at, output.from);
      order.onBytes(output.from.tensor.end - output.from.tensor.begin);
    }
    return at - head.length;
  } finally {
    await to.close();
  }
}

async function read(module: string, modules: Modules, quantized: QuantizedConfig): Promise<CodedWeight> {
  const parts = new Map<string, Part>();
  for (const [suffix, { file, tensor }] of modules.get(module) ?? [])
    parts.set(suffix, { info: tensor, bytes: await file.read(tensor.begin, tensor.end) });
  return readPacked(new PackedModule(module, parts), quantized);
}

async function writeWeight(
  { to, begin }: { readonly to: FileHandle; readonly begin: number },
  { dtype = 'BF16' }: Dequantize,
  weight: CodedWeight,
): Promise<number> {
  const { rows, columns } = weight;
  const step = Math.max(1, Math.floor(CHUNK_ELEMENTS / columns));
  let at = begin;
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const values = new Float32Array(count * columns);
    for (let row = 0; row < count; row += 1)
      rowOf(weight, first + row, values.subarray(row * columns, (row + 1) * columns));
    const bytes = encodeFloats(dtype, values);
    await write(to, bytes, at);
    at += bytes.length;
  }
  return at - begin;
}

async function copyTensor(to: FileHandle, begin: number, { file, tensor }: Place): Promise<number> {
  const size = tensor.end - tensor.begin;
  for (let done = 0; done < size; done += CHUNK_ELEMENTS) {
    const end = Math.min(done + CHUNK_ELEMENTS, size);
    await write(to, await file.read(tensor.begin + done, tensor.begin + end), begin + done);
  }
  return size;
}

/** The other files; config and index no longer speak of packed weights. */
async function writeRest(
  { base, target, dtype = 'BF16' }: Dequantize,
  { weightMap, total }: { readonly weightMap: Record<string, string>; readonly total: number },
): Promise<void> {
  for (const name of base.beside)
    if (!QUANTIZATION_FILES.includes(name)) await copyFile(join(base.folder, name), join(target, name));
  const { quantization_config: _, quantization: __, ...config } = base.config;
  const name = dtype === 'F32' ? 'float32' : 'bfloat16';
  const plain = { ...config, dtype: name, ...('torch_dtype' in config && { torch_dtype: name }) };
  await writeFile(join(target, 'config.json'), `${JSON.stringify(plain, undefined, 2)}\n`);
  if (base.shards.length < 2 && !base.beside.includes(INDEX)) return;
  const index = { metadata: { total_size: total }, weight_map: weightMap };
  await writeFile(join(target, INDEX), `${JSON.stringify(index, undefined, 2)}\n`);
}

async function write(to: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await to.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new MergeError('The disk takes no more bytes.');
    done += bytesWritten;
  }
}
