import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

const bigint = { to: (bytes: number) => bytes, from: Number };

/** A file that a tenant sends piece by piece (tus); it becomes part of a version by an import. */
@Entity('resumable_uploads')
@Index('resumable_uploads_tenant_id_idx', ['tenantId', 'id'])
@Index('resumable_uploads_expires_at_idx', ['expiresAt'])
@Check('resumable_uploads_bytes_check', 'received_bytes <= bytes')
export class ResumableUpload {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'resumable_uploads_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  /** What it will have in the end. */
  @Column('bigint', { transformer: bigint })
  bytes!: number;

  @Column('bigint', { name: 'received_bytes', default: 0, transformer: bigint })
  receivedBytes!: number;

  /** As the client gave it. */
  @Column('jsonb', { default: () => "'{}'" })
  metadata!: Record<string, string | null>;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt!: Date;
}
