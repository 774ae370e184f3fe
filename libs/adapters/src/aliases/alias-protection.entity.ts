import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';

const PRIMARY = { primaryKeyConstraintName: 'alias_protections_pkey' };

/** An alias that one key alone does not move. Of its name: it stays while the alias itself is gone. */
@Entity('alias_protections')
export class AliasProtection {
  @PrimaryColumn('uuid', { name: 'adapter_id', ...PRIMARY })
  adapterId!: string;

  @ManyToOne(() => Adapter, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'adapter_id', foreignKeyConstraintName: 'alias_protections_adapter_id_fkey' })
  adapter?: Relation<Adapter>;

  @PrimaryColumn('text', { ...PRIMARY })
  alias!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
