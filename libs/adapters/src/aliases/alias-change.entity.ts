import type { Route } from '#contracts/adapters-api.js';
import type { ArmedGuard, GuardBreach, Shadow } from '#contracts/alias-trials.js';
import { Check, Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';

const PRIMARY = { primaryKeyConstraintName: 'alias_changes_pkey' };

/** One step of an alias's history; rows are only added. */
@Entity('alias_changes')
@Check('alias_changes_action_check', "action IN ('set', 'rollback', 'automatic', 'guard')")
export class AliasChange {
  @PrimaryColumn('uuid', { name: 'adapter_id', ...PRIMARY })
  adapterId!: string;

  @ManyToOne(() => Adapter, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'adapter_id', foreignKeyConstraintName: 'alias_changes_adapter_id_fkey' })
  adapter?: Relation<Adapter>;

  @PrimaryColumn('text', { ...PRIMARY })
  alias!: string;

  @PrimaryColumn('integer', { ...PRIMARY })
  revision!: number;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  action!: 'set' | 'rollback' | 'automatic' | 'guard';

  @Column('jsonb')
  routes!: Route[];

  @Column('jsonb', { nullable: true })
  shadow!: Shadow | null;

  @Column('jsonb', { nullable: true })
  guard!: ArmedGuard | null;

  /** Why the server made the change by itself. */
  @Column('text', { nullable: true })
  reason!: string | null;

  @Column('jsonb', { nullable: true })
  breach!: GuardBreach | null;

  /** The revision that a rollback from here returns to; null: nothing stood before. */
  @Column('integer', { nullable: true })
  parent!: number | null;

  @Column('text', { name: 'key_id', nullable: true })
  keyId!: string | null;

  /** The second key, of a protected alias. */
  @Column('text', { name: 'approved_by', nullable: true })
  approvedBy!: string | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
