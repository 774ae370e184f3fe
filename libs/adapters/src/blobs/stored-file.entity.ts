import type { FilePurpose } from '#contracts/openai/files.js';
import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** A file of /v1/files: a blob that a tenant holds by itself, not by a version. */
@Entity('files')
@Index('files_tenant_id_idx', ['tenantId', 'id'])
@Index('files_sha256_idx', ['sha256'])
@Index('files_expires_at_idx', ['expiresAt'])
@Check('files_purpose_check', "purpose IN ('batch', 'batch_output')")
export class StoredFile {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'files_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  filename!: string;

  @Column('text')
  purpose!: FilePurpose;

  @Column('text')
  sha256!: string;

  @Column('bigint', { transformer: { to: (bytes: number) => bytes, from: Number } })
  bytes!: number;

  @Column('timestamptz', { name: 'created_at' })
  createdAt!: Date;

  /** Null: it is kept until it is deleted. */
  @Column('timestamptz', { name: 'expires_at', nullable: true })
  expiresAt!: Date | null;
}
