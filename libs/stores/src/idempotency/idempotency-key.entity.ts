import { Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';

/** A request that came with an Idempotency-Key, until the key expires. */
@Entity('idempotency_keys')
@Unique('idempotency_keys_owner_key_key', ['owner', 'key'])
@Index('idempotency_keys_expires_at_idx', ['expiresAt'])
export class IdempotencyKey {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'idempotency_keys_pkey' })
  id!: string;

  /** A tenant and what the caller may do for it, or the operator: the same key of another is another key. */
  @Column('text')
  owner!: string;

  @Column('text')
  key!: string;

  /** SHA-256 of what was asked. Null: its body is still on its way. */
  @Column('text', { nullable: true })
  fingerprint!: string | null;

  /** The run that may change something for the key. */
  @Column('uuid')
  holder!: string;

  /** The run has ended, or its process is gone, when this is past. */
  @Column('timestamptz', { name: 'held_until' })
  heldUntil!: Date;

  /** Audit entries of what the run has changed, each written in the transaction of the change. */
  @Column('uuid', { array: true, default: () => "'{}'" })
  effects!: string[];

  /** Null: not answered yet. */
  @Column('integer', { nullable: true })
  status!: number | null;

  /** Encrypted, for it may hold a secret that is shown once. Null though answered: it was too large to be kept, or too many were. */
  @Column('text', { nullable: true })
  answer!: string | null;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt!: Date;
}
