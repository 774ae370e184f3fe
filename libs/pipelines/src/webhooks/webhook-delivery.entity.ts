import type { WebhookDeliveryResource } from '#contracts/webhook-endpoints-api.js';
import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';

/** One event for one receiver, which is also the job of telling it (leases/lease-rules.ts). */
@Entity('webhook_deliveries')
@Unique('webhook_deliveries_target_id_event_id_key', ['targetId', 'eventId'])
@Index('webhook_deliveries_target_id_id_idx', ['targetId', 'id'])
@Index('webhook_deliveries_due_at_idx', ['dueAt'], { where: 'due_at IS NOT NULL' })
@Check('webhook_deliveries_target_kind_check', "target_kind IN ('endpoint', 'trainer')")
@Check('webhook_deliveries_state_check', "state IN ('pending', 'succeeded', 'failed')")
export class WebhookDelivery {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'webhook_deliveries_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text', { name: 'target_kind' })
  targetKind!: 'endpoint' | 'trainer';

  /** The webhook endpoint, or the trainer. */
  @Column('uuid', { name: 'target_id' })
  targetId!: string;

  /** Makes the `webhook-id`: the same at each attempt, so that a receiver knows what it has had. */
  @Column('uuid', { name: 'event_id' })
  eventId!: string;

  @Column('text')
  type!: string;

  /** The job that a trainer is told of. */
  @Column('uuid', { name: 'fine_tuning_job_id', nullable: true })
  fineTuningJobId!: string | null;

  /** Exactly the text that is signed and sent. */
  @Column('text')
  body!: string;

  @Column('text')
  state!: WebhookDeliveryResource['state'];

  /** Since it was last asked for; a replay starts again. */
  @Column('integer', { default: 0 })
  tries!: number;

  /** Of all time. */
  @Column('integer', { default: 0 })
  attempts!: number;

  @Column('integer', { name: 'last_status', nullable: true })
  lastStatus!: number | null;

  @Column('text', { name: 'last_error', nullable: true })
  lastError!: string | null;

  @Column('uuid', { name: 'lease_id', nullable: true })
  leaseId!: string | null;

  @Column('timestamptz', { name: 'due_at', nullable: true })
  dueAt!: Date | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'finished_at', nullable: true })
  finishedAt!: Date | null;
}

/** The `webhook-id` of an event. */
export function webhookIdOf(eventId: string): string {
  return `msg_${eventId.replaceAll('-', '')}`;
}
