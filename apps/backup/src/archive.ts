import { z } from 'zod';

/**
 * A backup is a tar file: `database/<table>/<n>.copy.gz` (pieces of COPY's text, each compressed), `secrets.json`,
 * `blobs/<sha256>`, then `manifest.json`, which holds the size and SHA-256 of each entry, and last `manifest.sha256`. What ends
 * early, or was changed in anything that is read, is therefore found; what fills the blocks between entries says nothing.
 */
export const MANIFEST = 'manifest.json';
export const MANIFEST_HASH = 'manifest.sha256';
export const SECRETS = 'secrets.json';
const BLOBS = 'blobs/';

export const blobEntry = (sha256: string): string => `${BLOBS}${sha256}`;
export const tableEntry = (table: string, piece: number): string =>
  `database/${table}/${String(piece).padStart(6, '0')}.copy.gz`;

/** The hash in the name of a blob's entry; undefined for other entries. */
export function blobOf(entry: string): string | undefined {
  return entry.startsWith(BLOBS) ? entry.slice(BLOBS.length) : undefined;
}

const Sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);

export const ManifestSchema = z.object({
  format: z.literal('lorikeet-backup'),
  /** Of the format. */
  version: z.literal(1),
  created_at: z.iso.datetime(),
  /** Names of the migrations that had run, in their order. */
  migrations: z.array(z.string()),
  tables: z.array(
    z.object({ name: z.string(), columns: z.array(z.string()), rows: z.int(), pieces: z.int() }),
  ),
  sequences: z.array(z.object({ name: z.string(), last_value: z.string(), is_called: z.boolean() })),
  /** Every blob that the database names, also where their bytes are left out. */
  blobs: z.array(z.object({ sha256: Sha256Schema, bytes: z.int() })),
  holds: z.object({ blobs: z.boolean(), secrets: z.boolean() }),
  entries: z.record(z.string(), z.object({ bytes: z.int(), sha256: Sha256Schema })),
});
export type Manifest = z.infer<typeof ManifestSchema>;

export const SecretsSchema = z.object({
  admin_key: z.string().optional(),
  secrets_key: z.string().optional(),
});
export type Secrets = z.infer<typeof SecretsSchema>;

/** What stands in the way, in words for the operator. */
export class BackupError extends Error {}
