import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Quantization, readQuantization } from './dequantize/quantized-config.js';
import { MergeError } from './merge-error.js';
import { TensorFile } from './tensor-file.js';

const INDEX = 'model.safetensors.index.json';
const CONFIG_AND_TOKENIZER = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'generation_config.json',
];

export interface Checkpoint {
  readonly folder: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Names of its safetensors files. */
  readonly shards: readonly string[];
  /** Its other files, as far as they belong to a checkpoint. */
  readonly beside: readonly string[];
  /** Undefined: it is dense. */
  readonly quantized: Quantization | undefined;
}

/** A folder with a checkpoint. Throws MergeError for what is none. */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const names = (await readdir(folder, { withFileTypes: true }).catch(() => [])).flatMap((entry) =>
    entry.isDirectory() ? [] : [entry.name],
  );
  const text = await readFile(join(folder, 'config.json'), 'utf8').catch(() => {
    throw new MergeError(`${folder} has no config.json.`);
  });
  const config = JSON.parse(text) as Record<string, unknown>;
  const shards = names.includes(INDEX)
    ? await indexed(join(folder, INDEX))
    : names.filter((name) => name.endsWith('.safetensors'));
  if (shards.length === 0) throw new MergeError(`${folder} has no weights in *.safetensors.`);
  const beside = names.filter(
    (name) => !/\.(safetensors|bin|pt|pth|ckpt|gguf|part)$/.test(name) && !name.startsWith('.'),
  );
  const quantized = await readQuantization(folder, config);
  return { folder, config, shards: [...shards].sort(), beside, quantized };
}

async function indexed(path: string): Promise<string[]> {
  const { weight_map: map } = JSON.parse(await readFile(path, 'utf8')) as {
    weight_map: Record<string, string>;
  };
  return [...new Set(Object.values(map))];
}

export async function digestedFiles(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter(
    (name) => CONFIG_AND_TOKENIZER.includes(name) || name.endsWith('.safetensors'),
  );
}

/** By which engines and manifests know a base model (the digest of its files' names and hashes). */
export async function digestOf(folder: string, onBytes: (bytes: number) => void): Promise<string> {
  const names = await digestedFiles(folder);
  const digest = createHash('sha256').update('lorikeet.base.v1\n');
  for (const name of names.sort()) {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(join(folder, name)) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      onBytes(chunk.length);
    }
    digest.update(`${name} ${hash.digest('hex')}\n`);
  }
  return digest.digest('hex');
}

export interface Untied {
  readonly base: Checkpoint;
  /** Holds a copy of the base's files. */
  readonly folder: string;
  /** The head's tensor, and the file that it alone lies in. */
  readonly head: string;
  readonly headFile: string;
  readonly headBytes: number;
}

/** Says in config and index that embedding and head are two tensors. */
export async function writeUntied({ base, folder, head, headFile, headBytes }: Untied): Promise<void> {
  const text = base.config.text_config as object | undefined;
  const config = {
    ...base.config,
    tie_word_embeddings: false,
    ...(text && { text_config: { ...text, tie_word_embeddings: false } }),
  };
  await writeFile(join(folder, 'config.json'), `${JSON.stringify(config, undefined, 2)}\n`);
  const known = await readIndex(base);
  // Beside an index, Transformers would read a lone model.safetensors and nothing else.
  if (!base.beside.includes(INDEX))
    for (const shard of base.shards) await rename(join(folder, shard), join(folder, shardName(shard)));
  const index = {
    metadata: { ...known.metadata, total_size: known.metadata.total_size + headBytes },
    weight_map: { ...known.weight_map, [head]: headFile },
  };
  await writeFile(join(folder, INDEX), `${JSON.stringify(index, undefined, 2)}\n`);
}

function shardName(name: string): string {
  return name === 'model.safetensors' ? 'model-base.safetensors' : name;
}

interface Index {
  readonly metadata: { readonly total_size: number };
  readonly weight_map: Readonly<Record<string, string>>;
}

async function readIndex({ folder, beside, shards }: Checkpoint): Promise<Index> {
  if (beside.includes(INDEX)) return JSON.parse(await readFile(join(folder, INDEX), 'utf8')) as Index;
  const weightMap: Record<string, string> = {};
  let bytes = 0;
  for (const shard of shards) {
    const file = await TensorFile.open(join(folder, shard));
    for (const { name } of file.header.tensors) weightMap[name] = shardName(shard);
    bytes += file.header.fileBytes - file.header.dataStart;
    await file.close();
  }
  return { metadata: { total_size: bytes }, weight_map: weightMap };
}
