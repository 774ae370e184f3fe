import { Check, Column, Entity, PrimaryColumn, Unique } from 'typeorm';
import type { Quotas } from './limits/rate-limits.js';

@Entity('tenants')
@Unique('tenants_name_key', ['name'])
@Check('tenants_state_check', "state IN ('active', 'suspended')")
export class Tenant {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'tenants_pkey' })
  id!: string;

  @Column('text')
  name!: string;

  @Column('text', { default: 'active' })
  state!: 'active' | 'suspended';

  @Column('jsonb', { default: () => "'{}'" })
  quotas!: Quotas;

  /** Share of the engines. */
  @Column('double precision', { default: 1 })
  weight!: number;

  /** Refuse adapters whose config does not name the base model that is served. */
  @Column('boolean', { name: 'require_base_match', default: false })
  requireBaseMatch!: boolean;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
