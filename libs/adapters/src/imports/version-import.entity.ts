import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { AdapterVersion } from '../registry/adapter-version.entity.js';

const bigint = {
  to: (bytes: number | null) => bytes,
  from: (text: string | null) => (text === null ? null : Number(text)),
};

/** How far a file has come; what was counted here is safe on the worker's disk. */
export interface FileProgress {
  readonly doneBytes: number;
  readonly totalBytes: number | null;
  /** A strong validator of the source's bytes (an ETag, or an immutable revision): only with it a download goes on. */
  readonly validator: string | null;
}

/** The import of a version whose files the server fetches itself. */
@Entity('version_imports')
@Index('version_imports_due_idx', ['nextAttemptAt'], { where: 'plan IS NOT NULL' })
export class VersionImport {
  @PrimaryColumn('uuid', { name: 'version_id', primaryKeyConstraintName: 'version_imports_pkey' })
  versionId!: string;

  @ManyToOne(() => AdapterVersion, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'version_id', foreignKeyConstraintName: 'version_imports_version_id_fkey' })
  version?: Relation<AdapterVersion>;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  /** An ImportSource; null once settled, for its URLs may hold signatures. */
  @Column('jsonb', { nullable: true })
  plan!: object | null;

  /** What the weights must hash to. */
  @Column('text', { nullable: true })
  sha256!: string | null;

  /** FileProgress by file name. */
  @Column('jsonb', { default: () => "'{}'" })
  files!: Record<string, FileProgress>;

  @Column('bigint', { name: 'done_bytes', default: 0, transformer: bigint })
  doneBytes!: number;

  @Column('bigint', { name: 'total_bytes', nullable: true, transformer: bigint })
  totalBytes!: number | null;

  /** How often a worker has begun it; also the fence between two workers that both believe to have it. */
  @Column('integer', { default: 0 })
  attempts!: number;

  /** Attempts begun since the last byte came. */
  @Column('integer', { default: 0 })
  fruitless!: number;

  @Column('text', { name: 'last_error', nullable: true })
  lastError!: string | null;

  @Column('timestamptz', { name: 'next_attempt_at', default: () => 'now()' })
  nextAttemptAt!: Date;
}
