import { copyFile, type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AdapterManifest, ManifestModule } from '#contracts/adapter-manifest.js';
import { encodeFloats } from '#safetensors/floats.js';
import type { TensorInfo } from '#safetensors/header.js';
import { layOut } from '#safetensors/writer.js';
import { type Checkpoint, digestOf, openCheckpoint, writeUntied } from './checkpoint.js';
import { dequantizeCheckpoint } from './dequantize/dequantize-checkpoint.js';
import type { Quantization } from './dequantize/quantized-config.js';
import { Progress } from './progress.js';
import { weightChange } from './merged-rows.js';
import { MergeError } from './merge-error.js';
import { floatDtype, TensorFile } from './tensor-file.js';

export interface MergeOrder {
  readonly manifest: AdapterManifest;
  /** The file that the manifest is of. */
  readonly weights: string;
  /** Of the base. */
  readonly checkpoint: string;
  /** Must not be there yet. */
  readonly target: string;
  /** Merge into a base other than that of the manifest, where the shapes fit. */
  readonly anyBase?: boolean;
  /** Merge into what a quantized checkpoint stands for, as bfloat16; otherwise it is refused. */
  readonly dequantize?: boolean;
  /** Of those weights, and of the merged ones; absent: bfloat16, which rounds both once. */
  readonly dequantizedDtype?: 'BF16' | 'F32';
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal: AbortSignal;
}

export interface Merged {
  readonly folder: string;
  readonly changed: number;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
}

/** Of a weight's bytes, held at once. */
const CHUNK_BYTES = 16 * 2 ** 20;
const HEAD = 'lm_head';
const HEAD_FILE = 'model-lm-head.safetensors';
const PARTS = new Set(['module', 'lora', 'magnitude', 'weight', 'bias', 'tokenRows']);

/**
 * Writes the checkpoint with the adapter in its weights: the same files, tensors and types, tensor by tensor, so that
 * memory holds one module's factors and a few rows. The folder gets its name when all of it is there. Throws MergeError.
 */
export async function mergeAdapter(order: MergeOrder): Promise<Merged> {
  const { manifest, target, signal } = order;
  if (await stat(target).catch(() => undefined)) throw new MergeError(`${target} is there already.`);
  if (manifest.invocationTokens)
    throw new MergeError('An activated LoRA acts from its invocation on, which no weights can.');
  if (manifest.vocabSize !== undefined)
    throw new MergeError(
      `The adapter has a vocabulary of its own (${manifest.vocabSize} tokens); the checkpoint's is not resized. ` +
        'Merge it where it was trained (resize_token_embeddings, then merge_and_unload).',
    );
  const base = await openCheckpoint(order.checkpoint);
  const packed = order.dequantize ? base.quantized?.packed : undefined;
  if (base.quantized && !packed) throw isQuantized(base.folder, base.quantized);
  const partial = `${target}.partial`;
  const dense = `${target}.dense`;
  for (const folder of [partial, dense]) await rm(folder, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const adapter = await TensorFile.open(order.weights);
  try {
    const progress = await Progress.of(order, base);
    await checkBase(order, base, progress);
    const onBytes = (bytes: number): void => progress.move(bytes);
    const { dequantizedDtype: dtype = 'BF16' } = order;
    if (packed)
      await dequantizeCheckpoint({ base, quantized: packed, target: dense, dtype, onBytes, signal });
    const from = packed ? await openCheckpoint(dense) : base;
    if (packed) await progress.more(from);
    const merge = new Merge({ order, base: from, adapter, partial, progress });
    const changed = await merge.run();
    signal.throwIfAborted();
    progress.end();
    await rename(partial, target);
    return { folder: target, changed, files: merge.files };
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  } finally {
    await adapter.close();
    await rm(dense, { recursive: true, force: true });
  }
}

function isQuantized(folder: string, { name, packed }: Quantization): MergeError {
  const into = 'an adapter is merged into the weights that it was quantized from';
  const asked = packed
    ? ', or, where that is asked for (`dequantize`), into those that it stands for, as bfloat16'
    : '';
  return new MergeError(`${folder} is quantized (${name}): ${into}${asked}.`);
}

async function checkBase(
  { anyBase, manifest }: MergeOrder,
  { folder }: Checkpoint,
  progress: Progress,
): Promise<void> {
  if (anyBase) return;
  const digest = await digestOf(folder, (bytes) => progress.move(bytes));
  if (digest === manifest.base) return;
  throw new MergeError(
    `${folder} is not the base that the version was validated against (digest ${digest.slice(0, 12)}, not ` +
      `${manifest.base.slice(0, 12)}).`,
  );
}

/** Where the embedding lies. */
interface Table {
  readonly shard: string;
  readonly tensor: TensorInfo;
  readonly path: string;
}

interface Work {
  readonly order: MergeOrder;
  readonly base: Checkpoint;
  readonly adapter: TensorFile;
  readonly partial: string;
  readonly progress: Progress;
}

class Merge {
  readonly files: { name: string; bytes: number }[] = [];
  readonly #modules: ReadonlyMap<string, ManifestModule>;
  readonly #met = new Set<string>();
  /** The embedding's tensor is the head's as well. */
  #hasOneTable = true;
  #table: Table | undefined;

  constructor(private readonly work: Work) {
    this.#modules = new Map(work.order.manifest.modules.map((module) => [module.module, module]));
  }

  async run(): Promise<number> {
    for (const name of this.work.base.shards) await this.#shard(name);
    for (const module of this.#modules.values()) this.#checkMet(module);
    for (const name of this.work.base.beside)
      await copyFile(join(this.work.base.folder, name), join(this.work.partial, name));
    const table = this.#hasOneTable ? this.#table : undefined;
    const head = this.#modules.get(HEAD);
    if (table && !sameChange(head, this.#moduleAt(table.path))) await this.#untie(table, head);
    for (const name of (await readdir(this.work.partial)).sort())
      this.files.push({ name, bytes: (await stat(join(this.work.partial, name))).size });
    return this.#modules.size;
  }

  /** Whether all that the adapter changes of a module found its place. */
  #checkMet(module: ManifestModule): void {
    const { module: name } = module;
    const other = Object.keys(module).find((part) => !PARTS.has(part));
    if (other !== undefined) throw new MergeError(`${name}: what the adapter has as ${other} is not merged.`);
    if ((module.bias ?? module.lora?.loraBias) && !this.#met.has(`${name}.bias`)) {
      throw new MergeError(`The checkpoint has no bias of ${name}, which the adapter changes.`);
    }
    if (this.#met.has(name) || (name === HEAD && this.#hasOneTable)) return;
    throw new MergeError(`The checkpoint has no weight of ${name}.`);
  }

  /** Every tensor at its place: the header of the copy is the original's. */
  async #shard(name: string): Promise<void> {
    const from = await TensorFile.open(join(this.work.base.folder, name));
    const to = await open(join(this.work.partial, name), 'w');
    try {
      await write(to, from.head, 0);
      for (const tensor of from.header.tensors) {
        await this.#tensor(from, tensor, to);
        this.#note(name, tensor);
      }
    } finally {
      await to.close();
      await from.close();
    }
  }

  #note(shard: string, tensor: TensorInfo): void {
    const { name } = tensor;
    if (name.endsWith('lm_head.weight')) this.#hasOneTable = false;
    const path = name.replace(/\.weight$/, '');
    if (EMBEDDING.test(path) && name.endsWith('.weight')) this.#table = { shard, tensor, path };
  }

  /** Gives the head a tensor of its own, in a file of its own. */
  async #untie({ shard, tensor, path }: Table, module: ManifestModule | undefined): Promise<void> {
    const name = `${path.startsWith('language_model.') ? 'language_model.' : ''}${HEAD}.weight`;
    const { dtype, shape } = tensor;
    const { head } = layOut([{ name, dtype, shape }], { format: 'pt' });
    const from = await TensorFile.open(join(this.work.base.folder, shard));
    const to = await open(join(this.work.partial, HEAD_FILE), 'w');
    try {
      await write(to, head, 0);
      await this.#weight(from, tensor, { module: module ?? { module: HEAD }, to, place: head.length });
    } finally {
      await to.close();
      await from.close();
    }
    await writeUntied({
      base: this.work.base,
      folder: this.work.partial,
      head: name,
      headFile: HEAD_FILE,
      headBytes: tensor.end - tensor.begin,
    });
  }

  async #tensor(from: TensorFile, tensor: TensorInfo, to: FileHandle): Promise<void> {
    this.work.order.signal.throwIfAborted();
    const [, path = '', part] = /^(.+)\.(weight|bias)$/.exec(tensor.name) ?? [];
    const module = this.#moduleAt(path);
    if (module && part === 'bias') return this.#bias(from, tensor, { module, to });
    if (module && part === 'weight') return this.#weight(from, tensor, { module, to });
    for (let at = tensor.begin; at < tensor.end; at += CHUNK_BYTES) {
      const bytes = await from.read(at, Math.min(at + CHUNK_BYTES, tensor.end));
      await write(to, bytes, at);
      this.work.progress.move(bytes.length);
    }
  }

  /** Classes with eyes or ears hold the text model deeper. */
  #moduleAt(path: string): ManifestModule | undefined {
    const plain = path
      .replace(/^model\.language_model\.(?:model\.)?/, 'model.')
      .replace(/^language_model\.(model\.|lm_head$)/, '$1');
    return this.#modules.get(path) ?? this.#modules.get(plain);
  }

  async #weight(
    from: TensorFile,
    tensor: TensorInfo,
    { module, to, place = tensor.begin }: { module: ManifestModule; to: FileHandle; place?: number },
  ): Promise<void> {
    this.#met.add(module.module);
    const { name, shape, begin } = tensor;
    const dtype = floatDtype(name, tensor.dtype);
    if (shape.length === 1) {
      const replaced = module.weight
        ? await this.work.adapter.floats(module.weight)
        : await from.floats(tensor);
      return this.#put(to, encodeFloats(dtype, replaced), tensor);
    }
    if (shape.length !== 2)
      throw new MergeError(`${name} has ${shape.length} dimensions; only matrices are merged.`);
    if (
      this.work.base.config.model_type === 'gpt2' &&
      module.lora &&
      /\.(c_attn|c_proj|c_fc)$/.test(module.module)
    )
      throw new MergeError(`${module.module} lies transposed in the checkpoint, which is not merged.`);
    const [rows, columns] = shape as [number, number];
    const embedding = isEmbedding(module);
    const change = await weightChange(module, { rows, columns, embedding }, this.work.adapter);
    const width = (tensor.end - begin) / rows;
    const step = Math.max(1, Math.floor(CHUNK_BYTES / width));
    for (let row = 0; row < rows; row += step) {
      this.work.order.signal.throwIfAborted();
      const end = Math.min(row + step, rows);
      const span = { name, dtype, shape, begin: begin + row * width, end: begin + end * width };
      const values = await from.floats(span);
      for (let at = row; at < end; at += 1) {
        const first = (at - row) * columns;
        values.set(change.row(at, values.subarray(first, first + columns)), first);
      }
      const bytes = encodeFloats(dtype, values);
      await write(to, bytes, place + row * width);
      this.work.progress.move(bytes.length);
    }
  }

  async #bias(
    from: TensorFile,
    tensor: TensorInfo,
    { module, to }: { module: ManifestModule; to: FileHandle },
  ): Promise<void> {
    const { adapter } = this.work;
    const values = module.bias ? await adapter.floats(module.bias) : await from.floats(tensor);
    const own = module.lora?.loraBias && (await adapter.floats(module.lora.loraBias));
    const scale = module.lora?.scale ?? 1;
    const summed = own ? values.map((value, at) => value + scale * (own[at] as number)) : values;
    this.#met.add(`${module.module}.bias`);
    await this.#put(to, encodeFloats(floatDtype(tensor.name, tensor.dtype), summed), tensor);
  }

  async #put(to: FileHandle, bytes: Uint8Array, { name, begin, end }: TensorInfo): Promise<void> {
    if (bytes.length !== end - begin)
      throw new MergeError(`The adapter's ${name} has another shape than the checkpoint's.`);
    await write(to, bytes, begin);
    this.work.progress.move(bytes.length);
  }
}

const EMBEDDING = /(^|\.)(embed_tokens|wte)$/;

/** Its factors lie the other way round: A over the tokens, B over the hidden state. */
function isEmbedding({ module, lora }: ManifestModule): boolean {
  return lora !== undefined && (lora.a.name.includes('lora_embedding_') || EMBEDDING.test(module));
}

/** Also where neither is changed. */
function sameChange(a: ManifestModule | undefined, b: ManifestModule | undefined): boolean {
  const partsOf = (module: ManifestModule | undefined) => JSON.stringify({ ...module, module: '' });
  return partsOf(a) === partsOf(b);
}

async function write(to: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await to.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
