import { Check, Column, Entity, PrimaryColumn } from 'typeorm';

/** At most one row; none: maintenance mode has never been enabled. */
@Entity('maintenance')
@Check('maintenance_single_check', 'id = 1')
export class MaintenanceRow {
  @PrimaryColumn('integer', { primaryKeyConstraintName: 'maintenance_pkey' })
  id!: 1;

  @Column('boolean')
  enabled!: boolean;

  @Column('text')
  message!: string;

  @Column('integer', { name: 'retry_after_s' })
  retryAfter_s!: number;

  @Column('timestamptz', { name: 'changed_at' })
  changedAt!: Date;
}
