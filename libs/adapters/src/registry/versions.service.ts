import { Injectable } from '@nestjs/common';
import type { ReportPage, ReportQuery, ReportRow, VersionResource } from '#contracts/adapters-api.js';
import type { PatchVersion, VersionFilter, VersionParent, VersionSearch } from '#contracts/lineage-api.js';
import { type List, listPage } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { isId } from '#stores/ids.js';
import { And, DataSource, type EntityManager, In, LessThan } from 'typeorm';
import { Adapter } from './adapter.entity.js';
import { AdapterChanges, publishChange } from './adapter-changes.js';
import { findAdapter, findVersion, lockAdapter } from './adapter-rows.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { moveLatest } from '../aliases/alias-routes.js';
import { refuseWhileServed } from '../aliases/alias-rows.js';
import { BlobLedger } from '../blobs/blob-ledger.service.js';
import { whereLabels } from './label-filter.js';
import { digestsOf, type Removal } from '../blobs/removal.js';
import { findParents, writeParents } from './version-parents.js';
import { parentsOf, type Relative } from './version-relatives.js';
import { readVersionResource, readVersionResources } from './version-resources.js';

/** A lineage is checked for cycles this far. */
const MAX_ANCESTORS = 10_000;

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
    { limit, after, include, state, digest, training_job, label }: VersionFilter,
  ): Promise<List<VersionResource>> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, adapterName);
    const before = after === undefined ? undefined : await cursorNumber(manager, adapter, after);
    const query = manager
      .createQueryBuilder(AdapterVersion, 'version')
      .select(listedColumns(manager, include).map((name) => `version.${name}`))
      .where({
        tenantId,
        adapterId: adapter.id,
        ...(before === undefined ? {} : { number: LessThan(before) }),
        ...(state === undefined ? {} : { state }),
        ...(digest === undefined ? {} : { id: In(await servingDigest(manager, tenantId, digest)) }),
        ...(training_job === undefined ? {} : { trainingJob: training_job }),
      })
      .orderBy('version.number', 'DESC')
      .take(limit + 1);
    whereLabels(query, label);
    const rows = (await query.getMany()).map((row) => ({ adapter: adapterName, row }));
    const reports = include === 'report';
    return listPage(await readVersionResources(manager, tenantId, rows, { reports }), limit);
  }

  /** Versions of all adapters, newest first: by what they hold or by the training that made them. */
  async search(
    tenantId: string,
    { limit, after, include, digest, training_job }: VersionSearch,
  ): Promise<List<VersionResource>> {
    if (after !== undefined && !isId(after)) throw unknownCursor();
    const { manager } = this.database;
    const columns = listedColumns(manager, include);
    const conditions = [
      ...(after === undefined ? [] : [LessThan(after)]),
      ...(digest === undefined ? [] : [In(await servingDigest(manager, tenantId, digest))]),
    ];
    const rows = await manager.find(AdapterVersion, {
      select: Object.fromEntries(columns.map((name) => [name, true])),
      where: {
        tenantId,
        ...(conditions.length === 0 ? {} : { id: And(...conditions) }),
        ...(training_job === undefined ? {} : { trainingJob: training_job }),
      },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    const names = await adapterNames(manager, tenantId, rows);
    const named = rows.flatMap((row) => {
      const adapter = names.get(row.adapterId); // absent: deleted since the rows were read
      return adapter === undefined ? [] : [{ adapter, row }];
    });
    const reports = include === 'report';
    return listPage(await readVersionResources(manager, tenantId, named, { reports }), limit);
  }

  async get(tenantId: string, adapterName: string, number: number): Promise<VersionResource> {
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, adapterName);
    return readVersionResource(manager, adapterName, await findVersion(manager, adapter, number));
  }

  /** A page of one part of a version's report; `after` is the last page's last_id. */
  async reportPage(
    tenantId: string,
    adapterName: string,
    number: number,
    { section, limit, after, base }: ReportQuery,
  ): Promise<ReportPage> {
    const report = reportOn(await this.get(tenantId, adapterName, number), base);
    const rows: ReportRow[] = report?.[section] ?? [];
    const begin = after === undefined ? 0 : Number(after) + 1;
    const data = rows.slice(begin, begin + limit);
    const last = begin + data.length - 1;
    return {
      object: 'list',
      data,
      has_more: last + 1 < rows.length,
      last_id: data.length === 0 ? null : String(last),
      total: report?.totals?.[section] ?? rows.length,
    };
  }

  /** What is said of a version may change at any time; what it holds never does. */
  async patch(
    tenantId: string,
    adapterName: string,
    number: number,
    { parents, ...facts }: PatchVersion,
  ): Promise<VersionResource> {
    // Its labels may say how its answers are written.
    return this.changes.commit({ tenant: tenantId, adapter: adapterName }, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, adapterName);
      const row = await findVersion(manager, adapter, number);
      const before = await readVersionResource(manager, adapterName, row);
      if (parents !== undefined) {
        const found = await findParents(manager, tenantId, parents);
        await refuseCycle(manager, row, found);
        await writeParents(manager, row, found);
      }
      if (facts.description !== undefined) row.description = facts.description;
      if (facts.labels !== undefined) row.labels = facts.labels;
      if (facts.training_job !== undefined) row.trainingJob = facts.training_job;
      if (facts.metrics !== undefined) row.metrics = facts.metrics;
      const { description, labels, trainingJob, metrics } = row;
      await manager.update(
        AdapterVersion,
        { id: row.id, tenantId },
        { description, labels, trainingJob, metrics },
      );
      const after = await readVersionResource(manager, adapterName, row);
      await AuditLog.record(manager, {
        tenantId,
        action: 'adapter.version.update',
        subject: { type: 'adapter.version', id: row.id },
        before: factsOf(before),
        after: factsOf(after),
      });
      return after;
    });
  }

  /** Refused while an alias other than the automatic one needs it. */
  async remove(tenantId: string, adapterName: string, number: number): Promise<Removal> {
    const note = { tenant: tenantId, adapter: adapterName };
    const { id, digests } = await this.changes.commit(note, async (manager) => {
      const adapter = await lockAdapter(manager, tenantId, adapterName);
      const version = await findVersion(manager, adapter, number);
      await refuseWhileServed(manager, adapter, number);
      const released = { tenantId, adapterId: adapter.id, number };
      const digests = await digestsOf(manager, released);
      await this.ledger.release(manager, released);
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
      return { id: version.id, digests };
    });
    return { id, digests: await this.ledger.unheld(digests) };
  }
}

/** The ids of the versions that serve what the digest stands for, on whichever base. */
async function servingDigest(manager: EntityManager, tenantId: string, digest: string): Promise<string[]> {
  const rows = await manager.query<{ id: string }[]>(
    `SELECT id FROM adapter_versions WHERE tenant_id = $1 AND digest = $2
     UNION SELECT version_id FROM version_bases WHERE tenant_id = $1 AND digest = $2`,
    [tenantId, digest],
  );
  return rows.map(({ id }) => id);
}

/** Without its report a version is small. */
function listedColumns(manager: EntityManager, include: 'report' | undefined): (keyof AdapterVersion)[] {
  const columns = manager.connection
    .getMetadata(AdapterVersion)
    .columns.map(({ propertyName }) => propertyName);
  return columns.filter((name) => include === 'report' || name !== 'report') as (keyof AdapterVersion)[];
}

function factsOf({ adapter, version, description, labels, parents, training_job, metrics }: VersionResource) {
  return { adapter, version, description, labels, parents, training_job, metrics };
}

/** What a version was made from was not made from that version. */
async function refuseCycle(
  manager: EntityManager,
  { id: versionId, tenantId }: AdapterVersion,
  parents: readonly VersionParent[],
): Promise<void> {
  const seen = new Set<string>();
  let generation: Relative[] = parents.map(({ id, digest, version }) => ({
    key: id ?? digest ?? '',
    id,
    digest,
    name: version,
  }));
  while (generation.length > 0) {
    if (generation.some(({ id }) => id === versionId)) {
      throw new AppError('invalid_request', {
        message: 'parents: a version cannot descend from itself.',
        param: 'parents',
      });
    }
    for (const { key } of generation) seen.add(key);
    if (seen.size > MAX_ANCESTORS) return;
    const links = await parentsOf(manager, tenantId, generation, MAX_ANCESTORS);
    const next = new Map(links.map(({ to }) => [to.key, to]));
    generation = [...next.values()].filter(({ key }) => !seen.has(key));
  }
}

async function adapterNames(
  manager: EntityManager,
  tenantId: string,
  rows: readonly AdapterVersion[],
): Promise<ReadonlyMap<string, string>> {
  const ids = [...new Set(rows.map(({ adapterId }) => adapterId))];
  const adapters = await manager.find(Adapter, {
    select: { id: true, name: true },
    where: { tenantId, id: In(ids) },
  });
  return new Map(adapters.map(({ id, name }) => [id, name]));
}

async function cursorNumber(manager: EntityManager, adapter: Adapter, after: string): Promise<number> {
  const where = { tenantId: adapter.tenantId, adapterId: adapter.id, id: after };
  const row = isId(after) ? await manager.findOne(AdapterVersion, { where, select: { number: true } }) : null;
  if (!row) throw unknownCursor();
  return row.number;
}

function unknownCursor(): AppError {
  return new AppError('invalid_request', { message: '`after` is no id of this list.', param: 'after' });
}

/** The report on one base. Throws not_found for a base that the version was not judged on. */
function reportOn(version: VersionResource, base: string | undefined): VersionResource['report'] {
  if (base === undefined || base === version.base_digest) return version.report;
  const found = version.bases.find(({ base_digest }) => base_digest === base);
  if (found) return found.report;
  throw new AppError('not_found', {
    message: `The version was not judged on a base with the digest ${base.slice(0, 80)}.`,
    param: 'base',
  });
}
