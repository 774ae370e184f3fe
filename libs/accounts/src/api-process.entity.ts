import { Column, Entity, PrimaryColumn } from 'typeorm';

/** An API process that runs, or died without saying so. */
@Entity('api_processes')
export class ApiProcess {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'api_processes_pkey' })
  id!: string;

  @Column('timestamptz', { name: 'seen_at' })
  seenAt!: Date;

  /** Usage of all requests that ended before is in the database. */
  @Column('timestamptz', { name: 'usage_written_at' })
  usageWrittenAt!: Date;
}
