import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { AdapterVersion } from '../registry/adapter-version.entity.js';

const PRIMARY = { primaryKeyConstraintName: 'version_files_pkey' };

/** A blob that a version holds. A blob that no row names may be freed. */
@Entity('version_files')
@Index('version_files_sha256_idx', ['sha256'])
export class VersionFile {
  @PrimaryColumn('uuid', { name: 'version_id', ...PRIMARY })
  versionId!: string;

  @ManyToOne(() => AdapterVersion, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'version_id', foreignKeyConstraintName: 'version_files_version_id_fkey' })
  version?: Relation<AdapterVersion>;

  /** The part's file name, or `manifest.json`. */
  @PrimaryColumn('text', { ...PRIMARY })
  name!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  sha256!: string;

  @Column('bigint', { transformer: { to: (bytes: number) => bytes, from: Number } })
  bytes!: number;
}
