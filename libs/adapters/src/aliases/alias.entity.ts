import type { Route } from '#contracts/adapters-api.js';
import type { ArmedGuard, Shadow } from '#contracts/alias-trials.js';
import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';

const PRIMARY = { primaryKeyConstraintName: 'aliases_pkey' };

/** Where an alias points now. Changed only while the adapter's row is locked. */
@Entity('aliases')
export class Alias {
  @PrimaryColumn('uuid', { name: 'adapter_id', ...PRIMARY })
  adapterId!: string;

  @ManyToOne(() => Adapter, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'adapter_id', foreignKeyConstraintName: 'aliases_adapter_id_fkey' })
  adapter?: Relation<Adapter>;

  @PrimaryColumn('text', { ...PRIMARY })
  name!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('jsonb')
  routes!: Route[];

  @Column('jsonb', { nullable: true })
  shadow!: Shadow | null;

  /** Of its newest change. */
  @Column('jsonb', { nullable: true })
  guard!: ArmedGuard | null;

  /** Its newest change. */
  @Column('integer')
  revision!: number;

  @Column('timestamptz', { name: 'updated_at', default: () => 'now()' })
  updatedAt!: Date;
}
