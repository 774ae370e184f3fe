import type { HookDelivery as HookDeliveryResource } from '#contracts/hooks-api.js';
import type { Promotion } from '#contracts/promotion.js';
import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';

const STATES =
  "'accepted', 'importing', 'validating', 'promoting', 'succeeded', 'failed', 'recorded', 'ignored'";

/** An event that came in, which is also the job that it asks for (leases/lease-rules.ts). */
@Entity('hook_deliveries')
@Unique('hook_deliveries_source_id_webhook_id_key', ['sourceId', 'webhookId'])
@Index('hook_deliveries_source_id_id_idx', ['sourceId', 'id'])
@Index('hook_deliveries_due_at_idx', ['dueAt'], { where: 'due_at IS NOT NULL' })
@Index('hook_deliveries_version_id_idx', ['versionId'], { where: 'due_at IS NOT NULL' })
@Check('hook_deliveries_state_check', `state IN (${STATES})`)
export class HookDelivery {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'hook_deliveries_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  /** The hook, or the trainer, that it was posted to. */
  @Column('uuid', { name: 'source_id' })
  sourceId!: string;

  @Column('text', { name: 'webhook_id' })
  webhookId!: string;

  /** Tells whether a repeated `webhook_id` carries the same message. */
  @Column('text', { name: 'body_sha256' })
  bodySha256!: string;

  @Column('text')
  type!: string;

  @Column('text')
  state!: HookDeliveryResource['state'];

  @Column('text', { name: 'job_id', nullable: true })
  jobId!: string | null;

  /** The job of ours that a trainer reports on. */
  @Column('uuid', { name: 'fine_tuning_job_id', nullable: true })
  fineTuningJobId!: string | null;

  @Column('text', { nullable: true })
  adapter!: string | null;

  /** The event's `data`. */
  @Column('jsonb')
  data!: Record<string, unknown>;

  /** Chosen before the import begins, so that it begins once. */
  @Column('uuid', { name: 'version_id', nullable: true })
  versionId!: string | null;

  @Column('integer', { nullable: true })
  version!: number | null;

  @Column('jsonb', { nullable: true })
  promotion!: Promotion | null;

  @Column('text', { nullable: true })
  reason!: string | null;

  /** Steps that failed unexpectedly. */
  @Column('integer', { default: 0 })
  faults!: number;

  @Column('uuid', { name: 'lease_id', nullable: true })
  leaseId!: string | null;

  @Column('timestamptz', { name: 'due_at', nullable: true })
  dueAt!: Date | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'finished_at', nullable: true })
  finishedAt!: Date | null;
}
