import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Adapter } from './adapter.entity.js';

const PRIMARY = { primaryKeyConstraintName: 'adapter_shares_pkey' };

/** Another tenant, or all of them, may call the adapter. */
@Entity('adapter_shares')
@Index('adapter_shares_grantee_idx', ['grantee', 'adapterId'])
export class AdapterShare {
  @PrimaryColumn('uuid', { name: 'adapter_id', ...PRIMARY })
  adapterId!: string;

  @ManyToOne(() => Adapter, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'adapter_id', foreignKeyConstraintName: 'adapter_shares_adapter_id_fkey' })
  adapter?: Relation<Adapter>;

  /** A tenant's id, or EVERYONE. */
  @PrimaryColumn('text', { ...PRIMARY })
  grantee!: string;

  /** The adapter's owner. */
  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('text', { name: 'key_id' })
  keyId!: string;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
