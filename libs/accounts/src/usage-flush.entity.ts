import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** A batch of usage that was added, so that a batch sent twice counts once. */
@Entity('usage_flushes')
@Index('usage_flushes_flushed_at_idx', ['flushedAt'])
export class UsageFlush {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'usage_flushes_pkey' })
  id!: string;

  @Column('timestamptz', { name: 'flushed_at', default: () => 'now()' })
  flushedAt!: Date;
}
