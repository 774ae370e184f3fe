import { Column, Entity, PrimaryColumn, Unique } from 'typeorm';

/** A key for `/v1/admin` beside the one of ADMIN_API_KEY. */
@Entity('operator_keys')
@Unique('operator_keys_sha256_key', ['sha256'])
export class OperatorKey {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'operator_keys_pkey' })
  id!: string;

  @Column('text')
  name!: string;

  /** Hex; the key itself is stored nowhere. */
  @Column('text')
  sha256!: string;

  @Column('text')
  prefix!: string;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'expires_at', nullable: true })
  expiresAt!: Date | null;

  @Column('timestamptz', { name: 'last_used_at', nullable: true })
  lastUsedAt!: Date | null;

  @Column('timestamptz', { name: 'revoked_at', nullable: true })
  revokedAt!: Date | null;
}
