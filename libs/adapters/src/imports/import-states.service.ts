import { Injectable } from '@nestjs/common';
import type { Derivation } from '#contracts/derivations-api.js';
import type { BlobInfo } from '#stores/blobs/blob-store.js';
import { DataSource, type EntityManager, Not, IsNull } from 'typeorm';
import { publishChange } from '../registry/adapter-changes.js';
import { lockAdapter } from '../registry/adapter-rows.js';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import { BlobLedger } from '../blobs/blob-ledger.service.js';
import { type Turn, VersionStates } from '../registry/version-states.service.js';
import type { ImportOrigin } from './import-origin.js';
import { type ImportSource, ImportSourceSchema } from './import-source.js';
import { type FileProgress, VersionImport } from './version-import.entity.js';

/** An import as a worker takes it up. */
export interface ImportCase {
  readonly versionId: string;
  readonly tenantId: string;
  readonly source: ImportSource;
  readonly sha256: string | undefined;
  /** How far each file was when that was last counted. */
  readonly files: Readonly<Record<string, FileProgress>>;
  /** Fences off a worker that lost the import without noticing. */
  readonly attempt: number;
  /** Attempts since the last byte came, this one included. */
  readonly fruitless: number;
}

export interface Counted {
  readonly files: Record<string, FileProgress>;
  readonly doneBytes: number;
  readonly totalBytes: number | null;
  /** Bytes came since the last count. */
  readonly moved: boolean;
}

type Holder = Pick<ImportCase, 'versionId' | 'attempt'>;

/** The worker's side of an import: `importing -> uploaded | rejected`; each step in one transaction. */
@Injectable()
export class ImportStates {
  constructor(
    private readonly database: DataSource,
    private readonly ledger: BlobLedger,
    private readonly states: VersionStates,
  ) {}

  /** Undefined when the import is settled, cancelled, deleted, or not due yet. */
  async begin(versionId: string): Promise<ImportCase | undefined> {
    return this.database.transaction(async (manager) => {
      const row = await manager.findOne(VersionImport, {
        where: { versionId },
        lock: { mode: 'pessimistic_write' },
      });
      if (!row?.plan || row.nextAttemptAt.getTime() > Date.now()) return undefined;
      const [attempt, fruitless] = [row.attempts + 1, row.fruitless + 1];
      await manager.update(VersionImport, { versionId }, { attempts: attempt, fruitless });
      return {
        versionId,
        tenantId: row.tenantId,
        source: ImportSourceSchema.parse(row.plan),
        sha256: row.sha256 ?? undefined,
        files: row.files,
        attempt,
        fruitless,
      };
    });
  }

  /** Writes down how far it is. False: this worker holds the import no more. */
  async count({ versionId, attempt }: Holder, { moved, ...counted }: Counted): Promise<boolean> {
    const progress = moved ? { fruitless: 1, lastError: null } : {};
    const { affected } = await this.database.manager.update(
      VersionImport,
      { versionId, attempts: attempt, plan: Not(IsNull()) },
      { ...counted, ...progress },
    );
    return affected === 1;
  }

  /** What a movable revision stood for, found once and kept for every later attempt. */
  async pin({ versionId, attempt }: Holder, source: ImportSource, text: string): Promise<boolean> {
    return this.database.transaction(async (manager) => {
      const { affected } = await manager.update(
        VersionImport,
        { versionId, attempts: attempt, plan: Not(IsNull()) },
        { plan: source },
      );
      if (affected === 1) await manager.update(AdapterVersion, { id: versionId }, { source: text });
      return affected === 1;
    });
  }

  async tryLater({ versionId, attempt }: Holder, error: string, at: Date): Promise<boolean> {
    const { affected } = await this.database.manager.update(
      VersionImport,
      { versionId, attempts: attempt, plan: Not(IsNull()) },
      { lastError: error, nextAttemptAt: at },
    );
    return affected === 1;
  }

  /** The files are stored: the version is uploaded. False when it was cancelled, deleted or taken over meanwhile. */
  async complete(
    { versionId, attempt }: Holder,
    files: ReadonlyMap<string, BlobInfo>,
    { leftOut, derived }: Pick<ImportOrigin, 'leftOut' | 'derived'>,
  ): Promise<boolean> {
    return this.database.transaction(async (manager) => {
      const version = await lockImporting(manager, versionId);
      const held = await manager.existsBy(VersionImport, { versionId, attempts: attempt });
      if (!version || !held) return false;
      const { tenantId } = version;
      const rows = [...files].map(([name, { sha256, bytes }]) => ({
        versionId,
        tenantId,
        name,
        sha256,
        bytes,
      }));
      await this.ledger.record(manager, rows);
      const doneBytes = rows.reduce((sum, { bytes }) => sum + bytes, 0);
      await manager.update(
        AdapterVersion,
        { id: versionId },
        {
          state: 'uploaded',
          leftOut: [...leftOut],
          ...(derived && version.derivation && { derivation: { ...version.derivation, result: derived } }),
        },
      );
      await manager.update(
        VersionImport,
        { versionId },
        { plan: null, files: {}, doneBytes, totalBytes: doneBytes, lastError: null },
      );
      await publishChange(manager, { tenant: tenantId, adapter: version.adapter, version: versionId });
      return true;
    });
  }

  /** Ends the import for good, with `also` in the same transaction. False when it had ended already. */
  async fail(
    versionId: string,
    failure: string,
    also: (manager: EntityManager) => Promise<void> = async () => undefined,
  ): Promise<boolean> {
    return this.states.giveUpImport(versionId, failure, async (manager) => {
      await manager.update(VersionImport, { versionId }, { plan: null, files: {}, lastError: failure });
      await also(manager);
    });
  }

  /** Imports whose next attempt is due, with their turns. */
  async due(limit: number): Promise<Turn[]> {
    return this.database.query<Turn[]>(
      `SELECT version_id AS "versionId",
         (row_number() OVER (PARTITION BY tenant_id ORDER BY next_attempt_at))::integer AS turn
       FROM version_imports WHERE plan IS NOT NULL AND next_attempt_at <= now()
       ORDER BY turn, next_attempt_at LIMIT $1`,
      [limit],
    );
  }

  /** What decides on another attempt; undefined when the import has ended. */
  async look(versionId: string): Promise<{ fruitless: number; createdAt: Date } | undefined> {
    const where = { versionId, plan: Not(IsNull()) };
    const row = await this.database.manager.findOne(VersionImport, { where, relations: { version: true } });
    return row?.version && { fruitless: row.fruitless, createdAt: row.version.createdAt };
  }

  /** Whether anything is left to do for it. */
  async isOpen(versionId: string): Promise<boolean> {
    return this.database.manager.existsBy(VersionImport, { versionId, plan: Not(IsNull()) });
  }
}

interface ImportingVersion {
  readonly tenantId: string;
  /** Its name. */
  readonly adapter: string;
  readonly derivation: Derivation | null;
}

async function lockImporting(
  manager: EntityManager,
  versionId: string,
): Promise<ImportingVersion | undefined> {
  const row = await manager.findOne(AdapterVersion, {
    where: { id: versionId },
    relations: { adapter: true },
  });
  if (!row?.adapter) return undefined;
  const adapter = await lockAdapter(manager, row.tenantId, row.adapter.name).catch(() => undefined);
  const open = await manager.existsBy(AdapterVersion, { id: versionId, state: 'importing' });
  const { tenantId, derivation } = row;
  return adapter && open ? { tenantId, adapter: adapter.name, derivation } : undefined;
}
