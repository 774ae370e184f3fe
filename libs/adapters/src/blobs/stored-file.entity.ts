import type { FilePurpose } from '#contracts/openai/files.js';
import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** `merged_model` is of the archives of merges, which /v1/files does not show. */
export type StoredPurpose = FilePurpose | 'merged_model';

/** A blob that a tenant holds by itself, not by a version: a file of /v1/files, or a merged checkpoint. */
@Entity('files')
@Index('files_tenant_id_idx', ['tenantId', 'id'])
@Index('files_sha256_idx', ['sha256'])
@Index('files_expires_at_idx', ['expiresAt'])
@Check('files_purpose_check', "purpose IN ('batch', 'batch_output', 'merged_model')")
export class StoredFile {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'files_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  filename!: string;

  @Column('text')
  purpose!: StoredPurpose;

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
