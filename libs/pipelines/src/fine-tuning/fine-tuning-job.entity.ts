import type { Metrics } from '#contracts/fine-tune-events.js';
import type { FineTuningStatus } from '#contracts/openai/fine-tuning.js';
import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

const STATUSES = "'queued', 'running', 'succeeded', 'failed', 'cancelled'";

/** A training that an external trainer does for a tenant. */
@Entity('fine_tuning_jobs')
@Index('fine_tuning_jobs_tenant_id_id_idx', ['tenantId', 'id'])
@Index('fine_tuning_jobs_trainer_id_idx', ['trainerId'])
@Check('fine_tuning_jobs_status_check', `status IN (${STATUSES})`)
export class FineTuningJob {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'fine_tuning_jobs_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('uuid', { name: 'trainer_id' })
  trainerId!: string;

  /** The trainer's name, also once it is gone. */
  @Column('text')
  trainer!: string;

  @Column('text')
  adapter!: string;

  @Column('text')
  status!: FineTuningStatus;

  @Column('text')
  model!: string;

  /** What the caller asked for, as it came: files, hyperparameters, method, seed, metadata. */
  @Column('jsonb')
  request!: Record<string, unknown>;

  @Column('integer')
  seed!: number;

  @Column('double precision', { nullable: true })
  progress!: number | null;

  @Column('jsonb', { nullable: true })
  metrics!: Metrics | null;

  @Column('bigint', { name: 'trained_tokens', nullable: true })
  trainedTokens!: string | null;

  @Column('timestamptz', { name: 'estimated_finish', nullable: true })
  estimatedFinish!: Date | null;

  @Column('integer', { nullable: true })
  version!: number | null;

  @Column('jsonb', { nullable: true })
  error!: { code: string; message: string; param: string | null } | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'finished_at', nullable: true })
  finishedAt!: Date | null;
}

const PREFIX = 'ftjob-';

export const publicJobId = (id: string): string => `${PREFIX}${id}`;

/** Undefined when it is no id of ours. */
export function jobIdOf(text: string): string | undefined {
  return text.startsWith(PREFIX) ? text.slice(PREFIX.length) : undefined;
}
