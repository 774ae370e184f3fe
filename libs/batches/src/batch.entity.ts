import type { BatchEndpoint, BatchError, BatchStatus } from '#contracts/openai/batches.js';
import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

const TOKENS = { default: 0, transformer: { to: (tokens: number) => tokens, from: Number } };

/** A batch of requests. While it is not ended, `due_at` and `lease_id` say which worker has it (LeasedTable). */
@Entity('batches')
@Index('batches_tenant_id_idx', ['tenantId', 'id'])
@Index('batches_due_at_idx', ['dueAt'])
@Index('batches_input_file_id_idx', ['inputFileId'])
@Check(
  'batches_status_check',
  "status IN ('validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')",
)
export class Batch {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'batches_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  /** Who made it, and under whom its usage stands. */
  @Column('text', { name: 'key_id' })
  keyId!: string;

  @Column('text')
  endpoint!: BatchEndpoint;

  /** Of a file that may be gone once the batch has ended. */
  @Column('uuid', { name: 'input_file_id' })
  inputFileId!: string;

  @Column('text', { default: 'validating' })
  status!: BatchStatus;

  @Column('jsonb', { nullable: true })
  errors!: BatchError[] | null;

  @Column('jsonb', { nullable: true })
  metadata!: Record<string, string> | null;

  @Column('text', { nullable: true })
  model!: string | null;

  @Column('uuid', { name: 'output_file_id', nullable: true })
  outputFileId!: string | null;

  @Column('uuid', { name: 'error_file_id', nullable: true })
  errorFileId!: string | null;

  @Column('integer', { name: 'output_expires_after_s', nullable: true })
  outputExpiresAfter_s!: number | null;

  @Column('integer', { default: 0 })
  total!: number;

  @Column('integer', { default: 0 })
  completed!: number;

  @Column('integer', { default: 0 })
  failed!: number;

  @Column('bigint', { name: 'input_tokens', ...TOKENS })
  inputTokens!: number;

  @Column('bigint', { name: 'cached_tokens', ...TOKENS })
  cachedTokens!: number;

  @Column('bigint', { name: 'output_tokens', ...TOKENS })
  outputTokens!: number;

  @Column('bigint', { name: 'reasoning_tokens', ...TOKENS })
  reasoningTokens!: number;

  @Column('timestamptz', { name: 'created_at' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt!: Date;

  @Column('timestamptz', { name: 'in_progress_at', nullable: true })
  inProgressAt!: Date | null;

  @Column('timestamptz', { name: 'finalizing_at', nullable: true })
  finalizingAt!: Date | null;

  @Column('timestamptz', { name: 'completed_at', nullable: true })
  completedAt!: Date | null;

  @Column('timestamptz', { name: 'failed_at', nullable: true })
  failedAt!: Date | null;

  @Column('timestamptz', { name: 'expired_at', nullable: true })
  expiredAt!: Date | null;

  @Column('timestamptz', { name: 'cancelling_at', nullable: true })
  cancellingAt!: Date | null;

  @Column('timestamptz', { name: 'cancelled_at', nullable: true })
  cancelledAt!: Date | null;

  @Column('timestamptz', { name: 'due_at', nullable: true })
  dueAt!: Date | null;

  @Column('uuid', { name: 'lease_id', nullable: true })
  leaseId!: string | null;
}
