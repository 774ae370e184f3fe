import { Check, Column, Entity, PrimaryColumn, Unique } from 'typeorm';

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

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
