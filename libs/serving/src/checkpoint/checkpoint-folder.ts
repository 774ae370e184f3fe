import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ModelError } from '../model-error.js';
import { readPooling } from '../pooling.js';
import { readTemplates } from '../text/chat-template.js';
import { readTokenizer } from '../text/tokenizer.js';
import { readJsonIfThere } from '../text/json-file.js';
import type { Checkpoint, Heads, InspectNative } from './checkpoint.js';

/** Throws ModelError unless the folder that a setting names looks like a checkpoint. */
export async function checkFolder(setting: string, path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) throw new ModelError(`${setting}: there is no folder or file ${path}`);
  const names = new Set(await readdir(path));
  for (const name of ['config.json', 'tokenizer.json']) {
    if (names.has(name)) continue;
    const gguf = [...names].filter((file) => file.endsWith('.gguf')).toSorted()[0];
    const hint = gguf === undefined ? '' : `; of a GGUF model name the file: ${join(path, gguf)}`;
    throw new ModelError(`${setting}: ${path} holds no ${name}${hint}`);
  }
}

const GenerationConfigSchema = z.looseObject({
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
});

export async function folderCheckpoint(path: string, inspectNative: InspectNative): Promise<Checkpoint> {
  const tokenizer = await readTokenizer(path).catch((cause: unknown) => {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new ModelError(`${path}: the tokenizer cannot be used: ${message}`, { cause });
  });
  const inspection = inspectNative(path);
  const [templates, generation, pooling, heads] = await Promise.all([
    readTemplates(path),
    readJsonIfThere(join(path, 'generation_config.json')),
    readPooling(path),
    readHeads(path),
  ]);
  const eosTokenIds = [GenerationConfigSchema.parse(generation ?? {}).eos_token_id ?? []].flat();
  return { inspection, tokenizer, templates, eosTokenIds, pooling, heads };
}

/** What config.json says of the attention's heads; nothing where it has another form. */
async function readHeads(modelPath: string): Promise<Heads> {
  const config: Record<string, unknown> = {
    ...((await readJsonIfThere(join(modelPath, 'config.json'))) as object | undefined),
  };
  const { num_attention_heads: heads, num_key_value_heads: keyHeads } = {
    ...config,
    ...(config.text_config as object | undefined),
  } as Record<string, unknown>;
  if (typeof heads !== 'number') return {};
  return { heads, keyHeads: typeof keyHeads === 'number' ? keyHeads : heads };
}
