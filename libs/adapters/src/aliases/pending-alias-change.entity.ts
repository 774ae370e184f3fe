import type { PutAlias, Route } from '#contracts/adapters-api.js';
import type { Actor } from '#contracts/audit-api.js';
import type { PendingChange } from '#contracts/pending-changes-api.js';
import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';

/** A change of a protected alias that waits, or waited, for a second key. */
@Entity('pending_alias_changes')
@Index('pending_alias_changes_tenant_id_idx', ['tenantId', 'id'])
@Index('pending_alias_changes_adapter_id_idx', ['adapterId', 'alias', 'id'])
@Index('pending_alias_changes_expires_at_idx', ['expiresAt'], { where: "state = 'pending'" })
@Check('pending_alias_changes_action_check', "action IN ('set', 'rollback', 'delete', 'unprotect')")
@Check(
  'pending_alias_changes_state_check',
  "state IN ('pending', 'approved', 'declined', 'superseded', 'outdated', 'expired')",
)
export class PendingAliasChange {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'pending_alias_changes_pkey' })
  id!: string;

  @Column('uuid', { name: 'adapter_id' })
  adapterId!: string;

  @ManyToOne(() => Adapter, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'adapter_id', foreignKeyConstraintName: 'pending_alias_changes_adapter_id_fkey' })
  adapter?: Relation<Adapter>;

  @Column('text')
  alias!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  action!: PendingChange['action'];

  @Column('jsonb', { nullable: true })
  change!: PutAlias | null;

  @Column('jsonb')
  routes!: Route[];

  @Column('integer', { nullable: true })
  revision!: number | null;

  @Column('text')
  state!: PendingChange['state'];

  @Column('jsonb', { name: 'requested_by' })
  requestedBy!: Actor;

  @Column('jsonb', { name: 'decided_by', nullable: true })
  decidedBy!: Actor | null;

  @Column('text', { nullable: true })
  reason!: string | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  /** Null: never. */
  @Column('timestamptz', { name: 'expires_at', nullable: true })
  expiresAt!: Date | null;

  @Column('timestamptz', { name: 'decided_at', nullable: true })
  decidedAt!: Date | null;
}

/** Whether it waited for too long, written down or not yet. */
export function isOverdue({ state, expiresAt }: PendingAliasChange, now = new Date()): boolean {
  return state === 'pending' && expiresAt !== null && expiresAt <= now;
}

export function pendingChange(adapter: string, row: PendingAliasChange): PendingChange {
  return {
    id: row.id,
    object: 'adapter.alias.pending_change',
    adapter,
    alias: row.alias,
    action: row.action,
    change: row.change,
    routes: row.routes,
    revision: row.revision,
    state: isOverdue(row) ? 'expired' : row.state,
    requested_by: row.requestedBy,
    decided_by: row.decidedBy,
    reason: row.reason,
    created_at: row.createdAt.toISOString(),
    expires_at: row.expiresAt?.toISOString() ?? null,
    decided_at: row.decidedAt?.toISOString() ?? null,
  };
}
