import type { Actor } from '#contracts/audit-api.js';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** One change, written in its own transaction. The database refuses to change or delete a row. */
@Entity('audit_entries')
@Index('audit_entries_tenant_id_idx', ['tenantId', 'id'])
@Index('audit_entries_actor_id_idx', ['actorId', 'id'])
@Index('audit_entries_subject_id_idx', ['subjectId', 'id'])
@Index('audit_entries_action_idx', ['action', 'id'])
export class AuditEntry {
  /** Sorts by the time of the change. */
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'audit_entries_pkey' })
  id!: string;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('text', { name: 'actor_type' })
  actorType!: Actor['type'];

  @Column('text', { name: 'actor_id' })
  actorId!: string;

  /** No constraint joins it to tenants: an entry outlives what it tells of. */
  @Column('uuid', { name: 'tenant_id', nullable: true })
  tenantId!: string | null;

  @Column({ type: 'text', collation: 'C' })
  action!: string;

  @Column('text', { name: 'subject_type' })
  subjectType!: string;

  @Column('text', { name: 'subject_id' })
  subjectId!: string;

  @Column('jsonb', { nullable: true })
  before!: object | null;

  @Column('jsonb', { nullable: true })
  after!: object | null;

  @Column('text', { name: 'request_id', nullable: true })
  requestId!: string | null;

  @Column('text', { nullable: true })
  address!: string | null;
}
