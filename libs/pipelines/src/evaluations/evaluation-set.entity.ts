import { Column, Entity, PrimaryColumn, Unique } from 'typeorm';

/** Prompts with expected answers under a name; the prompts themselves stand in its revisions. */
@Entity('evaluation_sets')
@Unique('evaluation_sets_tenant_id_name_key', ['tenantId', 'name'])
export class EvaluationSet {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'evaluation_sets_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  name!: string;

  @Column('text', { nullable: true })
  description!: string | null;

  /** The newest. */
  @Column('integer')
  revision!: number;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'updated_at', default: () => 'now()' })
  updatedAt!: Date;
}
