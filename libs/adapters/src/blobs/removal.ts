import type { EntityManager } from 'typeorm';
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
const MADE_FILES: readonly string[] = [
  MANIFEST_FILE,
  CONVERTED_FILE,
  EXTRACTED_TEMPLATE_FILE,
  TOOL_TEMPLATE_FILE,
];

/** What requests run with that the row `version` serves: its digest on its first base (null: never ready) and on later ones. */
export const SERVED_DIGESTS = `
  SELECT version.digest UNION
  SELECT later.digest FROM version_bases later WHERE later.version_id = version.id AND later.digest IS NOT NULL`;

const FOR_BASE = /^base-[0-9a-f]{16}\./;

/** The name of a made file where its version was validated against one more base. */
export function nameForBase(name: string, baseDigest: string): string {
  return `base-${baseDigest.slice(0, 16)}.${name}`;
}

export function isMadeFile(name: string): boolean {
  return FOR_BASE.test(name) || MADE_FILES.includes(name);
}

/** What a deletion took away. */
export interface Removal {
  readonly id: string;
  /** Digests that no version holds any more: engines may drop them once their last requests end. */
  readonly digests: readonly string[];
}

/** The digests of all versions of an adapter, or of one of them, on every base. */
export async function digestsOf(manager: EntityManager, where: ReleasedVersions): Promise<string[]> {
  const rows = await manager.query<{ digest: string }[]>(
    `SELECT served.digest FROM adapter_versions version, LATERAL (${SERVED_DIGESTS}) AS served (digest)
     WHERE version.tenant_id = $1 AND version.adapter_id = $2 AND ($3::integer IS NULL OR version.number = $3)
       AND served.digest IS NOT NULL`,
    [where.tenantId, where.adapterId, where.number ?? null],
  );
  return [...new Set(rows.map(({ digest }) => digest))];
}
