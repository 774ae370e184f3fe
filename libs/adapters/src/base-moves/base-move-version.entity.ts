import type { MoveEvaluation, MovedVersionState } from '#contracts/base-moves-api.js';
import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { BaseMove } from './base-move.entity.js';

/** One version of a move, which is also the work that is left to do on it (a leased table of pipelines). */
@Entity('base_move_versions')
@Index('base_move_versions_move_id_id_idx', ['moveId', 'id'])
@Index('base_move_versions_due_at_idx', ['dueAt'], { where: 'due_at IS NOT NULL' })
@Index('base_move_versions_version_id_idx', ['versionId'], { where: 'due_at IS NOT NULL' })
@Check(
  'base_move_versions_state_check',
  "state IN ('checking', 'evaluating', 'promoted', 'left', 'unchanged')",
)
export class BaseMoveVersion {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'base_move_versions_pkey' })
  id!: string;

  @Column('uuid', { name: 'move_id' })
  moveId!: string;

  @ManyToOne(() => BaseMove, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'move_id', foreignKeyConstraintName: 'base_move_versions_move_id_fkey' })
  move?: Relation<BaseMove>;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  /** It may be deleted meanwhile: the report still names it. */
  @Column('uuid', { name: 'version_id' })
  versionId!: string;

  @Column('text')
  adapter!: string;

  @Column('integer')
  version!: number;

  /** Which led to it when the move began. */
  @Column('text', { array: true })
  aliases!: string[];

  @Column('text', { default: 'checking' })
  state!: MovedVersionState;

  /** Why it was promoted, left, or needed nothing. */
  @Column('text', { nullable: true })
  reason!: string | null;

  @Column('jsonb', { nullable: true })
  evaluation!: MoveEvaluation | null;

  /** Steps that failed unexpectedly. */
  @Column('integer', { default: 0 })
  faults!: number;

  @Column('uuid', { name: 'lease_id', nullable: true })
  leaseId!: string | null;

  @Column('timestamptz', { name: 'due_at', nullable: true })
  dueAt!: Date | null;

  @Column('timestamptz', { name: 'decided_at', nullable: true })
  decidedAt!: Date | null;
}
