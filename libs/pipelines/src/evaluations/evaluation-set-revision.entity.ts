import type { EvaluationCase } from '#contracts/promotion.js';
import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { EvaluationSet } from './evaluation-set.entity.js';

const PRIMARY = { primaryKeyConstraintName: 'evaluation_set_revisions_pkey' };

/** What a set asked from some time on; rows are only added. */
@Entity('evaluation_set_revisions')
export class EvaluationSetRevision {
  @PrimaryColumn('uuid', { name: 'set_id', ...PRIMARY })
  setId!: string;

  @ManyToOne(() => EvaluationSet, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'set_id', foreignKeyConstraintName: 'evaluation_set_revisions_set_id_fkey' })
  set?: Relation<EvaluationSet>;

  @PrimaryColumn('integer', { ...PRIMARY })
  revision!: number;

  /** Hex. */
  @Column('text')
  digest!: string;

  @Column('jsonb')
  prompts!: EvaluationCase[];

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
