import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { AdapterVersion } from './adapter-version.entity.js';

const PRIMARY = { primaryKeyConstraintName: 'version_parents_pkey' };

/** What a version was made from. No constraint holds the parent: lineage outlives what was deleted. */
@Entity('version_parents')
@Index('version_parents_parent_id_idx', ['tenantId', 'parentId'])
@Index('version_parents_parent_digest_idx', ['tenantId', 'parentDigest'])
@Check('version_parents_known_check', 'parent_id IS NOT NULL OR parent_digest IS NOT NULL')
export class VersionParentRow {
  @PrimaryColumn('uuid', { name: 'version_id', ...PRIMARY })
  versionId!: string;

  @ManyToOne(() => AdapterVersion, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'version_id', foreignKeyConstraintName: 'version_parents_version_id_fkey' })
  version?: Relation<AdapterVersion>;

  @PrimaryColumn('integer', { ...PRIMARY })
  position!: number;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('uuid', { name: 'parent_id', nullable: true })
  parentId!: string | null;

  @Column('text', { name: 'parent_digest', nullable: true })
  parentDigest!: string | null;

  /** `adapter@3`, as it was. */
  @Column('text', { name: 'parent_name', nullable: true })
  parentName!: string | null;
}
