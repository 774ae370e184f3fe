import { Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';

/** A person at the console: a cookie that stands for a key, and ends with it. */
@Entity('console_sessions')
@Unique('console_sessions_sha256_key', ['sha256'])
@Index('console_sessions_expires_at_idx', ['expiresAt'])
export class ConsoleSession {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'console_sessions_pkey' })
  id!: string;

  /** Hex, of the cookie's value, which is stored nowhere. */
  @Column('text')
  sha256!: string;

  /** Hex, of the key that was signed in with. */
  @Column('text', { name: 'key_sha256' })
  keySha256!: string;

  /** Whether that is an operator's key. */
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
