import type { Labels } from '#contracts/resource.js';
import { Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';

@Entity('adapters')
@Unique('adapters_tenant_id_name_key', ['tenantId', 'name'])
@Index('adapters_tenant_id_id_idx', ['tenantId', 'id'])
@Index('adapters_labels_idx', ['labels'], { type: 'gin' })
export class Adapter {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'adapters_pkey' })
  id!: string;

  /** No constraint joins it to tenants: their entity belongs to another library. */
  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  name!: string;

  @Column('text', { nullable: true })
  description!: string | null;

  @Column('text', { name: 'base_model', nullable: true })
  baseModel!: string | null;

  @Column('jsonb', { default: () => "'{}'" })
  labels!: Labels;

  /** The number that the next upload gets. Numbers of deleted versions are never given again. */
  @Column('integer', { name: 'next_version', default: 1 })
  nextVersion!: number;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'updated_at', default: () => 'now()' })
  updatedAt!: Date;
}
