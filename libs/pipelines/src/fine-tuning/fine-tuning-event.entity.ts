import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { FineTuningJob } from './fine-tuning-job.entity.js';

/** Something that happened to a job; rows are only added. */
@Entity('fine_tuning_events')
@Index('fine_tuning_events_job_id_id_idx', ['jobId', 'id'])
export class FineTuningEvent {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'fine_tuning_events_pkey' })
  id!: string;

  @Column('uuid', { name: 'job_id' })
  jobId!: string;

  @ManyToOne(() => FineTuningJob, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'job_id', foreignKeyConstraintName: 'fine_tuning_events_job_id_fkey' })
  job?: Relation<FineTuningJob>;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  level!: 'info' | 'warn' | 'error';

  @Column('text')
  message!: string;

  @Column('text')
  type!: 'message' | 'metrics';

  @Column('jsonb', { default: () => "'{}'" })
  data!: Record<string, unknown>;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
