import type { PromotePolicy } from '#contracts/promotion.js';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { SigningSecrets } from '../secrets/signing-secret.js';

/** Where a tenant's fine-tune pipeline announces what it trained. */
@Entity('hooks')
@Index('hooks_tenant_id_id_idx', ['tenantId', 'id'])
export class Hook {
  @PrimaryColumn('uuid', { primaryKeyConstraintName: 'hooks_pkey' })
  id!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text')
  name!: string;

  /** The only adapter that it takes versions of. */
  @Column('text', { nullable: true })
  adapter!: string | null;

  @Column('jsonb', { nullable: true })
  promote!: PromotePolicy | null;

  @Column(() => SigningSecrets, { prefix: false })
  secrets!: SigningSecrets;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
