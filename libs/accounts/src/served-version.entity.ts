import { Column, Entity, PrimaryColumn } from 'typeorm';

/** When a version was last called, by whomever. */
@Entity('served_versions')
export class ServedVersion {
  /** `<adapter id>@<version>`, as in usage_minutes. */
  @PrimaryColumn('text', { primaryKeyConstraintName: 'served_versions_pkey' })
  served!: string;

  @Column('timestamptz', { name: 'last_served_at' })
  lastServedAt!: Date;
}
