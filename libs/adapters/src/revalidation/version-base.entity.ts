import type { VersionBaseState } from '#contracts/revalidation-api.js';
import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { AdapterVersion } from '../registry/adapter-version.entity.js';

const PRIMARY = { primaryKeyConstraintName: 'version_bases_pkey' };

/** What became of a version on a base model other than the one that it was first judged against. */
@Entity('version_bases')
@Index('version_bases_unsettled_idx', ['baseDigest', 'versionId'], {
  where: "state IN ('waiting', 'validating')",
})
@Index('version_bases_digest_idx', ['tenantId', 'digest'], { where: 'digest IS NOT NULL' })
@Check('version_bases_state_check', "state IN ('waiting', 'validating', 'ready', 'rejected')")
@Check('version_bases_ready_check', "state <> 'ready' OR digest IS NOT NULL")
export class VersionBase {
  @PrimaryColumn('uuid', { name: 'version_id', ...PRIMARY })
  versionId!: string;

  @ManyToOne(() => AdapterVersion, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'version_id', foreignKeyConstraintName: 'version_bases_version_id_fkey' })
  version?: Relation<AdapterVersion>;

  @PrimaryColumn('text', { name: 'base_digest', ...PRIMARY })
  baseDigest!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text', { name: 'base_model' })
  baseModel!: string;

  @Column('text', { default: 'waiting' })
  state!: VersionBaseState;

  /** How often a worker has begun to validate it. */
  @Column('integer', { default: 0 })
  attempts!: number;

  /** SHA-256 (hex) of the manifest for this base. */
  @Column('text', { nullable: true })
  digest!: string | null;

  /** An AdapterReport. */
  @Column('jsonb', { nullable: true })
  report!: object | null;

  /** A Parity; null when none was asked for. */
  @Column('jsonb', { nullable: true })
  parity!: object | null;

  @Column('text', { nullable: true })
  failure!: string | null;

  /** Why it does not answer although it is ready; null: it answers. */
  @Column('text', { nullable: true })
  held!: string | null;

  @Column('timestamptz', { name: 'requested_at', default: () => 'now()' })
  requestedAt!: Date;

  @Column('timestamptz', { name: 'judged_at', nullable: true })
  judgedAt!: Date | null;
}
