import type { Scope } from '#contracts/admin-api.js';
import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation, Unique } from 'typeorm';
import { Tenant } from '../tenant.entity.js';
import { ConsolePerson } from './console-person.entity.js';

/** A cookie of the console. It stands for a key, and ends with it; or for a person whom the identity provider knows. */
@Entity('console_sessions')
@Unique('console_sessions_sha256_key', ['sha256'])
@Index('console_sessions_expires_at_idx', ['expiresAt'])
export class ConsoleSession {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'console_sessions_pkey' })
  id!: string;

  /** Hex, of the cookie's value, which is stored nowhere. */
  @Column('text')
  sha256!: string;

  /** Hex, of the key that was signed in with; null for a person. */
  @Column('text', { name: 'key_sha256', nullable: true })
  keySha256!: string | null;

  @Column('uuid', { name: 'person_id', nullable: true })
  personId!: string | null;

  @ManyToOne(() => ConsolePerson, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'person_id', foreignKeyConstraintName: 'console_sessions_person_id_fkey' })
  person?: Relation<ConsolePerson> | null;

  /** Of a person who is no operator. */
  @Column('uuid', { name: 'tenant_id', nullable: true })
  tenantId!: string | null;

  @ManyToOne(() => Tenant, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'tenant_id', foreignKeyConstraintName: 'console_sessions_tenant_id_fkey' })
  tenant?: Relation<Tenant> | null;

  /** Of a person who is no operator; a key has its own. */
  @Column('text', { array: true, default: () => "'{}'" })
  scopes!: Scope[];

  /** Whether that is an operator's key, or an operator. */
  @Column('boolean')
  operator!: boolean;

  /** The tenant as which an operator looks at the console; it may then change nothing. */
  @Column('uuid', { name: 'viewed_tenant_id', nullable: true })
  viewedTenantId!: string | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  /** To the minute. */
  @Column('timestamptz', { name: 'last_used_at', default: () => 'now()' })
  lastUsedAt!: Date;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt!: Date;
}
