import { Inject, Injectable } from '@nestjs/common';
import type { BaseModel } from '#contracts/base-model.js';
import type { Rejection, Revalidation } from '#contracts/revalidation-api.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import type { JobProducer } from '#stores/queue/job-queue.js';
import { DataSource } from 'typeorm';
import { INGEST_PRODUCER, type IngestJob, ingestJobId } from '../intake/ingest-job.js';
import { findAdapter } from '../registry/adapter-rows.js';
import type { TenantName } from '../registry/tenant-names.js';
import { REJECTED_FOR_BASE, requestSql } from './request-validation.js';
import { RevalidationStates } from './revalidation-states.service.js';

/** How many jobs one call puts into the queue itself; the workers' sweep puts the others there. */
const QUEUED_AT_ONCE = 1_000;
const QUEUED_TOGETHER = 20;
const SHOWN_REJECTIONS = 100;

/** Whose versions are meant. */
export interface RevalidationScope {
  readonly base: Pick<BaseModel, 'name' | 'digest'>;
  /** Absent: all tenants. */
  readonly tenant?: TenantName | undefined;
  /** The name of an adapter of the tenant; absent: all adapters. */
  readonly adapter?: string | undefined;
}

/** Judges stored versions against the base that is served now, after it has been changed. */
@Injectable()
export class Revalidations {
  constructor(
    private readonly database: DataSource,
    private readonly states: RevalidationStates,
    @Inject(INGEST_PRODUCER) private readonly queue: JobProducer<IngestJob>,
  ) {}

  /**
   * Queues what was never judged against the base; with `rejected` also what it has rejected, and what was rejected when it
   * came only for what belongs to the base of that time.
   */
  async start(scope: RevalidationScope, { rejected }: { readonly rejected: boolean }): Promise<Revalidation> {
    await this.#checkAdapter(scope);
    const { base, tenant, adapter } = scope;
    await this.database.transaction(async (manager) => {
      const [row] = await manager.query<{ queued: number }[]>(REQUEST, [
        ...scopeValues(scope),
        base.name,
        rejected,
      ]);
      if (!row || row.queued === 0) return;
      await AuditLog.record(manager, {
        ...(tenant && { tenantId: tenant.id }),
        action: 'revalidation.start',
        subject: { type: 'base_model', id: base.digest },
        after: { base_model: base.name, tenant: tenant?.name, adapter, queued: row.queued },
      });
    });
    await this.enqueue(base.digest);
    return this.status(scope);
  }

  async status(scope: RevalidationScope): Promise<Revalidation> {
    await this.#checkAdapter(scope);
    const { base, tenant, adapter } = scope;
    const [counts] = await this.database.query<Counts[]>(COUNTS, scopeValues(scope));
    if (!counts) throw new Error('counts are one row');
    return {
      object: 'revalidation',
      base_model: base.name,
      base_digest: base.digest,
      tenant: tenant?.name ?? null,
      adapter: adapter ?? null,
      ...counts,
      rejections: await this.database.query<Rejection[]>(REJECTIONS, [
        ...scopeValues(scope),
        SHOWN_REJECTIONS,
      ]),
    };
  }

  /** Puts what waits for its validation against the base into the queue; the workers' sweep would, only later. */
  async enqueue(baseDigest: string): Promise<void> {
    const turns = await this.states.unsettled(baseDigest, QUEUED_AT_ONCE);
    while (turns.length > 0) {
      const together = turns.splice(0, QUEUED_TOGETHER).map(({ versionId, turn }) => {
        const job = { versionId, baseDigest };
        return this.queue.add(ingestJobId(job), job, { turn });
      });
      await Promise.all(together);
    }
  }

  async #checkAdapter({ tenant, adapter }: RevalidationScope): Promise<void> {
    if (tenant && adapter !== undefined) await findAdapter(this.database.manager, tenant.id, adapter);
  }
}

type Counts = Pick<Revalidation, 'ready' | 'unvalidated' | 'queued' | 'rejected' | 'held'>;

const scopeValues = ({ base, tenant, adapter }: RevalidationScope): (string | null)[] => [
  base.digest,
  tenant?.id ?? null,
  adapter ?? null,
];

/** Stored versions, and what became of them on the base; $1 the base that is served, $2 the tenant's id, $3 the adapter's name. */
const STORED = `
  adapter_versions version
  JOIN adapters adapter ON adapter.id = version.adapter_id
    AND ($2::uuid IS NULL OR adapter.tenant_id = $2) AND ($3::text IS NULL OR adapter.name = $3)
  LEFT JOIN version_bases judged ON judged.version_id = version.id AND judged.base_digest = $1`;

const REQUEST = requestSql(
  `${STORED} WHERE (judged.state IS NULL OR ($5::boolean AND judged.state = 'rejected')) AND (
    (version.state = 'ready' AND version.base_digest <> $1) OR ($5::boolean AND ${REJECTED_FOR_BASE}))`,
  { baseModel: '$4', held: 'NULL' },
);

const COUNTS = `
  SELECT count(*) FILTER (WHERE version.state = 'ready'
      AND (version.base_digest = $1 OR (judged.state = 'ready' AND judged.held IS NULL)))::integer AS ready,
    count(*) FILTER (WHERE version.base_digest <> $1 AND judged.state IS NULL)::integer AS unvalidated,
    count(*) FILTER (WHERE judged.state IN ('waiting', 'validating'))::integer AS queued,
    count(*) FILTER (WHERE judged.state = 'ready' AND judged.held IS NOT NULL)::integer AS held,
    count(*) FILTER (WHERE judged.state = 'rejected')::integer AS rejected
  FROM ${STORED} WHERE version.state = 'ready' OR judged.state IS NOT NULL`;

const REJECTIONS = `
  SELECT tenant.name AS tenant, adapter.name AS adapter, version.number AS version, judged.failure,
    CASE WHEN judged.report->'errors'->0 IS NULL THEN NULL ELSE jsonb_build_object(
      'code', judged.report->'errors'->0->'code', 'message', judged.report->'errors'->0->'message') END AS error
  FROM ${STORED} JOIN tenants tenant ON tenant.id = version.tenant_id
  WHERE judged.state = 'rejected' ORDER BY judged.judged_at DESC, version.id LIMIT $4`;
