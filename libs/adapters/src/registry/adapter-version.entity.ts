import type { Actor } from '#contracts/audit-api.js';
import type { AdapterWarning } from '#contracts/adapter-report.js';
import type { VersionState } from '#contracts/adapters-api.js';
import type { Derivation } from '#contracts/derivations-api.js';
import type { VersionMetrics } from '#contracts/lineage-api.js';
import type { Labels } from '#contracts/resource.js';
import {
  Check,
  Column,
  Entity,
  Index,
  JoinColumn,
  ManyToOne,
  PrimaryColumn,
  type Relation,
  Unique,
} from 'typeorm';
import { Adapter } from './adapter.entity.js';

@Entity('adapter_versions')
@Unique('adapter_versions_adapter_id_number_key', ['adapterId', 'number'])
@Index('adapter_versions_state_idx', ['state', 'id'])
@Index('adapter_versions_tenant_id_id_idx', ['tenantId', 'id'])
@Index('adapter_versions_training_job_idx', ['tenantId', 'trainingJob', 'id'], {
  where: 'training_job IS NOT NULL',
})
@Index('adapter_versions_digest_idx', ['tenantId', 'digest', 'id'], { where: 'digest IS NOT NULL' })
@Check(
  'adapter_versions_state_check',
  "state IN ('importing', 'uploaded', 'validating', 'ready', 'rejected')",
)
@Check('adapter_versions_ready_check', "state <> 'ready' OR digest IS NOT NULL")
export class AdapterVersion {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'adapter_versions_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('uuid', { name: 'adapter_id' })
  adapterId!: string;

  @ManyToOne(() => Adapter, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'adapter_id', foreignKeyConstraintName: 'adapter_versions_adapter_id_fkey' })
  adapter?: Relation<Adapter>;

  @Column('integer')
  number!: number;

  @Column('text', { default: 'uploaded' })
  state!: VersionState;

  /** SHA-256 (hex) of the manifest. */
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

  /** How often a worker has begun to validate it. */
  @Column('integer', { default: 0 })
  attempts!: number;

  @Column('integer', { nullable: true })
  rank!: number | null;

  @Column('text', { array: true, default: () => "'{}'" })
  modules!: string[];

  @Column('text', { name: 'base_model', nullable: true })
  baseModel!: string | null;

  @Column('text', { name: 'base_digest', nullable: true })
  baseDigest!: string | null;

  /** Refuse it when its config does not name the base that is served. */
  @Column('boolean', { name: 'require_base_match', default: false })
  requireBaseMatch!: boolean;

  /** Names of files that came with it and were not stored. */
  @Column('text', { name: 'left_out', array: true, default: () => "'{}'" })
  leftOut!: string[];

  /** The report's. */
  @Column('jsonb', { default: () => "'[]'" })
  warnings!: AdapterWarning[];

  @Column('text')
  source!: string;

  /** Null: it was not computed from others. */
  @Column('jsonb', { nullable: true })
  derivation!: Derivation | null;

  @Column('text', { nullable: true })
  description!: string | null;

  @Column('jsonb', { default: () => "'{}'" })
  labels!: Labels;

  @Column('text', { name: 'training_job', nullable: true })
  trainingJob!: string | null;

  @Column('jsonb', { default: () => "'{}'" })
  metrics!: VersionMetrics;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  /** Null: from before it was kept. */
  @Column('jsonb', { name: 'created_by', nullable: true })
  createdBy!: Actor | null;

  @Column('timestamptz', { name: 'ready_at', nullable: true })
  readyAt!: Date | null;
}
