import { Injectable } from '@nestjs/common';
import type { VersionResource } from '#contracts/adapters-api.js';
import { type List, listPage, type PageQuery } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId } from '#stores/ids.js';
import { DataSource, type EntityManager, In, LessThan } from 'typeorm';
import type { Adapter } from './adapter.entity.js';
import { AdapterChanges, publishChange } from './adapter-changes.js';
import { findAdapter, findVersion, lockAdapter } from './adapter-rows.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { Alias } from './alias.entity.js';
import { LATEST, moveLatest } from './alias-routes.js';
import { BlobLedger } from './blob-ledger.service.js';
import { heldFiles, type Removal } from './removal.js';
import { versionResource } from './resources.js';
import { WEIGHTS_FILE } from './upload-parts.js';
import { VersionFile } from './version-file.entity.js';

@Injectable()
export class VersionsService {
  constructor(
    private readonly database: DataSource,
    private readonly changes: AdapterChanges,
    private readonly ledger: BlobLedger,
  ) {}

  async list(
    tenantId: string,
    adapterName: string,
    { limit, after }: PageQuery,
  ): Promise<List<VersionResource>> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, adapterName);
    const before = after === undefined ? undefined : await cursorNumber(manager, adapter, after);
    const rows = await manager.find(AdapterVersion, {
      where: {
        tenantId,
        adapterId: adapter.id,
        ...(before === undefined ? {} : { number: LessThan(before) }),
      },
      order: { number: 'DESC' },
      take: limit + 1,
    });
    return listPage(await toResources(manager, adapter, rows), limit);
  }

  async get(tenantId: string, adapterName: string, number: number): Promise<VersionResource> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, adapterName);
    const [resource] = await toResources(manager, adapter, [await findVersion(manager, adapter, number)]);
    if (!resource) throw new Error('one row gives one resource');
    return resource;
  }

  /** Refused while an alias other than the automatic one routes to it. */
  async remove(tenantId: string, adapterName: string, number: number): Promise<Removal> {
    const note = { tenant: tenantId, adapter: adapterName };
    const { id, files } = await this.changes.commit(note, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, adapterName);
      const version = await findVersion(manager, adapter, number);
      await refuseWhileRouted(manager, adapter, number);
      const files = await heldFiles(manager, { tenantId, adapterId: adapter.id, number });
      await manager.delete(AdapterVersion, { id: version.id, tenantId });
      await moveLatest(manager, adapter);
      const { number: versionNumber, digest, state } = version;
      await AuditLog.record(manager, {
        tenantId,
        action: 'adapter.version.delete',
        subject: { type: 'adapter.version', id: version.id },
        before: { adapter: adapterName, version: versionNumber, digest, state },
      });
      await publishChange(manager, { ...note, version: version.id });
      return { id: version.id, files };
    });
    const freed = new Set(await this.ledger.free(files.map(({ sha256 }) => sha256)));
    return {
      id,
      digests: files.filter((file) => file.isManifest && freed.has(file.sha256)).map(({ sha256 }) => sha256),
    };
  }
}

async function toResources(
  manager: EntityManager,
  adapter: Adapter,
  rows: readonly AdapterVersion[],
): Promise<VersionResource[]> {
  const where = { tenantId: adapter.tenantId, versionId: In(rows.map(({ id }) => id)), name: WEIGHTS_FILE };
  const files = await manager.find(VersionFile, { where });
  return rows.map((row) => {
    const weights = files.find(({ versionId }) => versionId === row.id);
    if (!weights) throw new Error(`version ${row.id} has no weights`);
    return versionResource(adapter.name, row, weights);
  });
}

async function cursorNumber(manager: EntityManager, adapter: Adapter, after: string): Promise<number> {
  const where = { tenantId: adapter.tenantId, adapterId: adapter.id, id: after };
  const row = isId(after) ? await manager.findOne(AdapterVersion, { where, select: { number: true } }) : null;
  if (!row)
    throw new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
  return row.number;
}

async function refuseWhileRouted(manager: EntityManager, adapter: Adapter, number: number): Promise<void> {
  const aliases = await manager.find(Alias, { where: { tenantId: adapter.tenantId, adapterId: adapter.id } });
  const serving = aliases.filter(
    ({ name, routes }) => name !== LATEST && routes.some(({ version }) => version === number),
  );
  if (serving.length === 0) return;
  const names = serving.map(({ name }) => name).join(', ');
  throw new AppError('conflict', {
    message: `Version ${number} is served by the aliases ${names}; move them first.`,
  });
}
