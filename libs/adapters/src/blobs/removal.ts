import { type EntityManager, IsNull, Not } from 'typeorm';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import type { ReleasedVersions } from './blob-ledger.service.js';

/** The manifest's name among a version's files. */
export const MANIFEST_FILE = 'manifest.json';
/** Weights that were converted to PEFT's form. */
export const CONVERTED_FILE = 'converted.safetensors';
/** The chat template out of tokenizer_config.json. */
export const EXTRACTED_TEMPLATE_FILE = 'chat_template.extracted.jinja';
/** A template for calls with tools, out of tokenizer_config.json. */
export const TOOL_TEMPLATE_FILE = 'chat_template.tool_use.jinja';
/** Files of a version that nobody sent: they are made anew by each validation. */
export const MADE_FILES: readonly string[] = [
  MANIFEST_FILE,
  CONVERTED_FILE,
  EXTRACTED_TEMPLATE_FILE,
  TOOL_TEMPLATE_FILE,
];

/** What a deletion took away. */
export interface Removal {
  readonly id: string;
  /** Digests that no version holds any more: engines may drop them once their last requests end. */
  readonly digests: readonly string[];
}

/** The digests of all versions of an adapter, or of one of them. */
export async function digestsOf(manager: EntityManager, where: ReleasedVersions): Promise<string[]> {
  const rows = await manager.find(AdapterVersion, {
    select: { digest: true },
    where: { ...where, digest: Not(IsNull()) },
  });
  return [...new Set(rows.flatMap(({ digest }) => digest ?? []))];
}
