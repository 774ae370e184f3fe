import { Injectable } from '@nestjs/common';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import type { BlobInfo } from '#stores/blobs/blob-store.js';
import { newId } from '#stores/ids.js';
import { DataSource } from 'typeorm';
import { BlobLedger } from '../blobs/blob-ledger.service.js';
import { Merge } from './merge.entity.js';

/** Taken while room for a merge is looked for. */
const ROOM_LOCK = 0x10123;

interface MergeLease {
  readonly id: string;
  readonly leaseId: string;
}

/** The worker's side of a merge: `queued -> running -> ready | failed`. Whatever it writes holds only by its lease. */
@Injectable()
export class MergeStates {
  constructor(
    private readonly database: DataSource,
    private readonly ledger: BlobLedger,
  ) {}

  /** Begins, or begins again after a crash; undefined when it is deleted. */
  async begin({ id, leaseId }: MergeLease): Promise<Merge | undefined> {
    const { manager } = this.database;
    const change = { state: 'running' as const, attempts: () => 'attempts + 1', doneBytes: 0 };
    await manager.update(Merge, { id, leaseId }, change);
    return (await manager.findOneBy(Merge, { id, leaseId, state: 'running' })) ?? undefined;
  }

  /** Room for so many bytes among all that is kept; undefined: there is, and it is reserved; else what is left of the limit. */
  async reserve({ id, leaseId }: Merge, bytes: number, limitBytes: number): Promise<number | undefined> {
    return this.database.transaction(async (manager) => {
      await manager.query('SELECT pg_advisory_xact_lock($1)', [ROOM_LOCK]);
      const [row] = await manager.query<{ used: string }[]>(USED, [id]);
      const left = limitBytes - Number(row?.used ?? 0);
      if (bytes > left) return Math.max(0, left);
      const change = { reservedBytes: bytes, totalBytes: bytes };
      await manager.update(Merge, { id, leaseId: leaseId as string }, change);
      return undefined;
    });
  }

  /** False: it is deleted, or another worker's. */
  async count({ id, leaseId }: Merge, doneBytes: number, totalBytes: number): Promise<boolean> {
    const where = { id, leaseId: leaseId as string };
    const { affected } = await this.database.manager.update(Merge, where, { doneBytes, totalBytes });
    return affected === 1;
  }

  /** Keeps the archive for its tenant. Throws quota_exceeded. False: it is deleted, or another worker's. */
  async ready(
    row: Merge,
    made: { readonly archive: BlobInfo; readonly changed: number; readonly expiresAt: Date },
  ): Promise<boolean> {
    const { id, tenantId, adapter, version, leaseId } = row;
    const { archive, changed, expiresAt } = made;
    return this.database.transaction(async (manager) => {
      const createdAt = new Date();
      const fileId = newId(createdAt.getTime());
      const where = { id, tenantId, leaseId: leaseId as string };
      const done = { state: 'ready' as const, leaseId: null, dueAt: null, finishedAt: createdAt };
      const fields = { ...done, ...archive, fileId, changed, expiresAt, reservedBytes: 0, failure: null };
      const all = { doneBytes: () => 'total_bytes' };
      const { affected } = await manager.update(Merge, where, { ...fields, ...all } as never);
      if (affected !== 1) return false;
      const filename = `${adapter}-${version}-merged.tar`;
      const file = { id: fileId, tenantId, filename, purpose: 'merged_model' as const, ...archive };
      await this.ledger.recordFile(manager, { ...file, createdAt, expiresAt });
      const subject = { type: 'merge', id };
      await AuditLog.record(manager, {
        tenantId,
        action: 'merge.ready',
        subject,
        after: { filename, ...archive },
      });
      return true;
    });
  }

  async fail({ id, tenantId, leaseId }: Merge, failure: string): Promise<void> {
    const where = { id, tenantId, leaseId: leaseId as string };
    const done = { leaseId: null, dueAt: null, finishedAt: new Date(), reservedBytes: 0 };
    await this.database.manager.update(Merge, where, { state: 'failed', failure, ...done } as never);
  }

  /** Goes on later; the lease ends. */
  async later({ id, tenantId, leaseId }: Merge, dueAt: Date): Promise<void> {
    const where = { id, tenantId, leaseId: leaseId as string };
    await this.database.manager.update(Merge, where, { dueAt, leaseId: null, reservedBytes: 0 } as never);
  }

  /** Those that have work before them. */
  async open(): Promise<ReadonlySet<string>> {
    const rows = await this.database.query<{ id: string }[]>(
      'SELECT id FROM merges WHERE due_at IS NOT NULL',
    );
    return new Set(rows.map(({ id }) => id));
  }
}

/** What all kept archives take, and what running merges other than $1 may come to. */
const USED = `
  SELECT (SELECT coalesce(sum(bytes), 0) FROM files WHERE purpose = 'merged_model')
    + (SELECT coalesce(sum(reserved_bytes), 0) FROM merges WHERE state = 'running' AND id <> $1) AS used`;
