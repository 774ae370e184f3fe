import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readAdapter } from '#adapters/peft/read-adapter.js';
import type { SourceVersion } from '#adapters/derivation/source-version.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { readSafetensors } from '#safetensors/reader.js';
import { CONFIG, WEIGHTS } from './adapter-form.js';

/** An adapter's folder as versions are made from it. */
export function sourceVersion(
  folder: string,
  base: BaseModel,
  { name = 'bot@1', weight = 1 }: { readonly name?: string; readonly weight?: number } = {},
): { readonly source: SourceVersion; readonly header: SafetensorsHeader } {
  const bytes = readFileSync(join(folder, WEIGHTS));
  const configJson = readFileSync(join(folder, CONFIG), 'utf8');
  const { header } = readSafetensors(bytes);
  const weights = { sha256: 'a'.repeat(64), bytes: bytes.length };
  const read = readAdapter({ configJson, header, base, weights });
  if (read.verdict === 'rejected') throw new Error(JSON.stringify(read.report.errors));
  const source = {
    name,
    weight,
    manifest: read.manifest,
    config: JSON.parse(configJson) as Record<string, unknown>,
    read: async (begin: number, end: number) => bytes.subarray(begin, end),
  };
  return { source, header };
}
