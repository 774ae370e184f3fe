import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { type Manifest, tableEntry } from './archive.js';
import type { ArchiveWriter } from './archive-writer.js';

const PIECE_BYTES = 8 * 2 ** 20;
const NEWLINE = 10;
const compress = promisify(gzip);

/**
 * What the processes write anew by themselves (who runs, and which migrations this database has had), and what lets in
 * whoever was signed in at the time: a restored key is asked for again. Nor the requests that tenants have kept for a while,
 * nor what was answered to an Idempotency-Key within the last day.
 */
export const NOT_DUMPED: ReadonlySet<string> = new Set([
  'migrations',
  'api_processes',
  'engines',
  'console_sessions',
  'sign_in_links',
  'logged_requests',
  'used_sign_ins',
  'idempotency_keys',
]);

export type DatabasePart = Pick<Manifest, 'migrations' | 'tables' | 'sequences' | 'blobs'>;

/** Writes every table of ours as it is at one moment, and tells which blobs are named at that moment. */
export async function dumpDatabase(client: pg.Client, archive: ArchiveWriter): Promise<DatabasePart> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    const tables: Manifest['tables'] = [];
    for (const name of await tablesOf(client)) {
      if (!NOT_DUMPED.has(name)) tables.push(await dumpTable(client, name, archive));
    }
    const { rows: migrations } = await client.query<{ name: string }>(
      'SELECT name FROM migrations ORDER BY id',
    );
    const { rows: blobs } = await client.query<{ sha256: string; bytes: string }>(await namedBlobs(client));
    return {
      migrations: migrations.map(({ name }) => name),
      tables,
      sequences: await sequencesOf(client),
      blobs: blobs.map(({ sha256, bytes }) => ({ sha256, bytes: Number(bytes) })),
    };
  } finally {
    await client.query('ROLLBACK');
  }
}

/** Ordinary tables of the schema that we own, by name. */
export async function tablesOf(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

/** Those that a COPY may fill: not what the database computes. */
export async function columnsOf(client: pg.Client, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
    [`public.${pg.escapeIdentifier(table)}`],
  );
  return rows.map(({ name }) => name);
}

async function dumpTable(
  client: pg.Client,
  name: string,
  archive: ArchiveWriter,
): Promise<Manifest['tables'][number]> {
  const columns = await columnsOf(client, name);
  const list = columns.map((column) => pg.escapeIdentifier(column)).join(', ');
  const source = client.query(
    copyTo(`COPY public.${pg.escapeIdentifier(name)} (${list}) TO STDOUT`),
  ) as Readable;
  let [rows, pieces, held] = [0, 0, 0];
  let chunks: Buffer[] = [];
  const flush = async (): Promise<void> => {
    pieces += 1;
    await archive.add(tableEntry(name, pieces), await compress(Buffer.concat(chunks)));
    [chunks, held] = [[], 0];
  };
  for await (const chunk of source as AsyncIterable<Buffer>) {
    for (const byte of chunk) if (byte === NEWLINE) rows += 1; // COPY escapes those within values
    chunks.push(chunk);
    held += chunk.length;
    if (held >= PIECE_BYTES) await flush();
  }
  if (held > 0) await flush();
  return { name, columns, rows, pieces };
}

async function sequencesOf(client: pg.Client): Promise<Manifest['sequences']> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT sequencename AS name FROM pg_sequences
     WHERE schemaname = 'public' AND sequenceowner = current_user AND sequencename <> 'migrations_id_seq'`,
  );
  const found: Manifest['sequences'] = [];
  for (const { name } of rows) {
    const { rows: state } = await client.query<{ last_value: string; is_called: boolean }>(
      `SELECT last_value::text, is_called FROM public.${pg.escapeIdentifier(name)}`,
    );
    if (state[0]) found.push({ name, ...state[0] });
  }
  return found;
}

const TABLES_OF_BLOBS = ['version_files', 'upload_parts', 'files'];

/** SQL for every blob that a row names, in the tables that the database's version has. */
export async function namedBlobs(client: pg.Client): Promise<string> {
  const there = new Set(await tablesOf(client));
  const named = TABLES_OF_BLOBS.filter((table) => there.has(table)).map(
    (table) => `SELECT sha256, bytes FROM ${table}`,
  );
  return `SELECT sha256, max(bytes) AS bytes FROM (${named.join(' UNION ALL ')}) named GROUP BY sha256 ORDER BY sha256`;
}
