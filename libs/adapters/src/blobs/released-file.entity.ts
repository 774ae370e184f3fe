import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** A blob of a version that was deleted, kept while requests that began before may read it. */
@Entity('released_files')
@Index('released_files_sha256_idx', ['sha256'])
@Index('released_files_released_at_idx', ['releasedAt'])
export class ReleasedFile {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'released_files_pkey' })
  id!: string;

  @Column('text')
  sha256!: string;

  /** Of the version; null: it was never ready, so that no request reads it. */
  @Column('text', { nullable: true })
  digest!: string | null;

  @Column('timestamptz', { name: 'released_at' })
  releasedAt!: Date;
}
