import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { BackupError, type Manifest } from './archive.js';
import { columnsOf, NOT_DUMPED, tablesOf } from './database-dump.js';

interface ForeignKey {
  readonly table: string;
  readonly name: string;
  readonly definition: string;
}

const quote = pg.escapeIdentifier;

/** Fills the tables of a database of the backup's version. Everything is seen at `commit`, or nothing. */
export class DatabaseLoad {
  #foreignKeys: ForeignKey[] = [];
  #rows = new Map<string, number>();

  constructor(
    private readonly client: pg.Client,
    private readonly manifest: Manifest,
  ) {}

  /** Empties the tables, and puts off what watches each row: the order of tables would matter, and sums would be counted twice. */
  async begin(): Promise<void> {
    const { client } = this;
    await client.query('BEGIN');
    await this.#checkColumns();
    this.#foreignKeys = await foreignKeysOf(client);
    for (const { table, name } of this.#foreignKeys) {
      await client.query(`ALTER TABLE public.${quote(table)} DROP CONSTRAINT ${quote(name)}`);
    }
    const names = this.manifest.tables.map(({ name }) => `public.${quote(name)}`);
    for (const name of names) await client.query(`ALTER TABLE ${name} DISABLE TRIGGER USER`);
    if (names.length > 0) await client.query(`TRUNCATE ${names.join(', ')}`);
    // In no backup, and of tenants that may be gone now.
    if ((await tablesOf(client)).includes('logged_requests'))
      await client.query('TRUNCATE public.logged_requests');
  }

  /** One piece of a table, as it lies in the backup. */
  async piece(table: string, pieces: AsyncIterable<Buffer>): Promise<void> {
    const { columns } = this.#table(table);
    const list = columns.map(quote).join(', ');
    const sink = this.client.query(copyFrom(`COPY public.${quote(table)} (${list}) FROM STDIN`));
    await pipeline(Readable.from(pieces), createGunzip(), sink);
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + sink.rowCount);
  }

  async commit(): Promise<void> {
    const { client, manifest } = this;
    for (const { name, rows } of manifest.tables) {
      const loaded = this.#rows.get(name) ?? 0;
      if (loaded !== rows) throw new BackupError(`The table ${name} got ${loaded} rows instead of ${rows}.`);
      await client.query(`ALTER TABLE public.${quote(name)} ENABLE TRIGGER USER`);
    }
    for (const { table, name, definition } of this.#foreignKeys) {
      await client.query(`ALTER TABLE public.${quote(table)} ADD CONSTRAINT ${quote(name)} ${definition}`);
    }
    for (const { name, last_value, is_called } of manifest.sequences) {
      await client.query('SELECT setval($1::regclass, $2, $3)', [
        `public.${quote(name)}`,
        last_value,
        is_called,
      ]);
    }
    await client.query('COMMIT');
  }

  async rollBack(): Promise<void> {
    await this.client.query('ROLLBACK');
  }

  #table(name: string): Manifest['tables'][number] {
    const found = this.manifest.tables.find((table) => table.name === name);
    if (!found) throw new BackupError(`The backup's manifest has no table ${name}.`);
    return found;
  }

  async #checkColumns(): Promise<void> {
    const there = new Set((await tablesOf(this.client)).filter((name) => !NOT_DUMPED.has(name)));
    for (const { name, columns } of this.manifest.tables) {
      if (!there.delete(name)) throw new BackupError(`This version has no table ${name}.`);
      const known = new Set(await columnsOf(this.client, name));
      const strange = columns.filter((column) => !known.has(column));
      if (strange.length > 0) throw new BackupError(`The table ${name} has no column ${strange.join(', ')}.`);
    }
    if (there.size > 0) throw new BackupError(`The backup lacks the table ${[...there].join(', ')}.`);
  }
}

async function foreignKeysOf(client: pg.Client): Promise<ForeignKey[]> {
  const { rows } = await client.query<ForeignKey>(
    `SELECT class.relname AS table, conname AS name, pg_get_constraintdef(con.oid) AS definition
     FROM pg_constraint con JOIN pg_class class ON class.oid = conrelid
     WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND pg_get_userbyid(relowner) = current_user
     ORDER BY 1, 2`,
  );
  return rows;
}
