import type { Actor } from '#contracts/audit-api.js';
import type { MovePolicy } from '#contracts/base-moves-api.js';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** A tenant's order to bring what its adapters serve onto the base that was served when it was given. */
@Entity('base_moves')
@Index('base_moves_tenant_id_id_idx', ['tenantId', 'id'])
@Index('base_moves_running_idx', ['tenantId', 'baseDigest'], {
  unique: true,
  where: 'finished_at IS NULL',
})
export class BaseMove {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'base_moves_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text', { name: 'base_model' })
  baseModel!: string;

  @Column('text', { name: 'base_digest' })
  baseDigest!: string;

  /** The only adapter that it moves; null: all. */
  @Column('text', { nullable: true })
  adapter!: string | null;

  @Column('jsonb')
  policy!: MovePolicy;

  @Column('jsonb', { name: 'created_by' })
  createdBy!: Actor;

  @Column('boolean', { default: false })
  cancelled!: boolean;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'finished_at', nullable: true })
  finishedAt!: Date | null;
}
