import type { MergeState } from '#contracts/merges-api.js';
import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

const BIGINT = { transformer: { to: (bytes: number | null) => bytes, from: asNumber } };

/** An order to merge a version into the base's weights, which is also the work that is left to do on it (a leased table). */
@Entity('merges')
@Index('merges_tenant_id_id_idx', ['tenantId', 'id'])
@Index('merges_due_at_idx', ['dueAt'], { where: 'due_at IS NOT NULL' })
@Check('merges_state_check', "state IN ('queued', 'running', 'ready', 'failed')")
export class Merge {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'merges_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  /** It may be deleted later: the checkpoint stays until it expires. */
  @Column('uuid', { name: 'version_id' })
  versionId!: string;

  @Column('text')
  adapter!: string;

  @Column('integer')
  version!: number;

  /** Of the version's manifest for the base. */
  @Column('text')
  digest!: string;

  @Column('text', { name: 'base_model' })
  baseModel!: string;

  @Column('text', { name: 'base_digest' })
  baseDigest!: string;

  @Column('boolean')
  dequantize!: boolean;

  @Column('boolean', { name: 'any_base' })
  anyBase!: boolean;

  @Column('text', { default: 'queued' })
  state!: Exclude<MergeState, 'expired'>;

  @Column('bigint', { name: 'done_bytes', default: 0, ...BIGINT })
  doneBytes!: number;

  @Column('bigint', { name: 'total_bytes', nullable: true, ...BIGINT })
  totalBytes!: number | null;

  /** What it may come to, while it runs: others find that much less room. */
  @Column('bigint', { name: 'reserved_bytes', default: 0, ...BIGINT })
  reservedBytes!: number;

  @Column('integer', { default: 0 })
  attempts!: number;

  @Column('text', { nullable: true })
  failure!: string | null;

  @Column('integer', { nullable: true })
  changed!: number | null;

  /** Of the archive; the file goes when it expires. */
  @Column('uuid', { name: 'file_id', nullable: true })
  fileId!: string | null;

  @Column('text', { nullable: true })
  sha256!: string | null;

  @Column('bigint', { nullable: true, ...BIGINT })
  bytes!: number | null;

  @Column('timestamptz', { name: 'expires_at', nullable: true })
  expiresAt!: Date | null;

  @Column('uuid', { name: 'lease_id', nullable: true })
  leaseId!: string | null;

  @Column('timestamptz', { name: 'due_at', nullable: true })
  dueAt!: Date | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'finished_at', nullable: true })
  finishedAt!: Date | null;
}

function asNumber(text: string | null): number | null {
  return text === null ? null : Number(text);
}
