import type { Scope } from '#contracts/admin-api.js';
import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation, Unique } from 'typeorm';
import type { RateLimits } from './limits/rate-limits.js';
import { Tenant } from './tenant.entity.js';

@Entity('api_keys')
@Unique('api_keys_sha256_key', ['sha256'])
@Unique('api_keys_previous_sha256_key', ['previousSha256'])
@Index('api_keys_tenant_id_idx', ['tenantId', 'id'])
export class ApiKey {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'api_keys_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @ManyToOne(() => Tenant, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'tenant_id', foreignKeyConstraintName: 'api_keys_tenant_id_fkey' })
  tenant?: Relation<Tenant>;

  @Column('text')
  name!: string;

  /** Hex; the key itself is stored nowhere. */
  @Column('text')
  sha256!: string;

  @Column('text')
  prefix!: string;

  @Column('text', { array: true })
  scopes!: Scope[];

  @Column('jsonb', { default: () => "'{}'" })
  limits!: RateLimits;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'expires_at', nullable: true })
  expiresAt!: Date | null;

  @Column('timestamptz', { name: 'last_used_at', nullable: true })
  lastUsedAt!: Date | null;

  @Column('timestamptz', { name: 'revoked_at', nullable: true })
  revokedAt!: Date | null;

  @Column('timestamptz', { name: 'rotated_at', nullable: true })
  rotatedAt!: Date | null;

  /** Of the secret before the last rotation, which is valid until `previousValidUntil`. */
  @Column('text', { name: 'previous_sha256', nullable: true })
  previousSha256!: string | null;

  @Column('timestamptz', { name: 'previous_valid_until', nullable: true })
  previousValidUntil!: Date | null;
}
