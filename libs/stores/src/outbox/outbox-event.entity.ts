import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** Something that happened, written in the transaction in which it happened; a dispatcher tells the world afterwards. */
@Entity('outbox_events')
@Index('outbox_events_waiting_idx', ['id'], { where: 'dispatched_at IS NULL' })
export class OutboxEvent {
  /** Sorts by the time at which it was written. */
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'outbox_events_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  type!: string;

  /** The public resource. */
  @Column('jsonb')
  payload!: object;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  /** Null: not handed on yet. */
  @Column('timestamptz', { name: 'dispatched_at', nullable: true })
  dispatchedAt!: Date | null;
}
