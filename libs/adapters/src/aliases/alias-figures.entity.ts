import { Check, Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Relation } from 'typeorm';
import { Adapter } from '../registry/adapter.entity.js';

const PRIMARY = { primaryKeyConstraintName: 'alias_figures_pkey' };

/** What one process has counted of one version under one revision of an alias; the whole is the sum of all parts. */
@Entity('alias_figures')
@Check('alias_figures_kind_check', "kind IN ('guard', 'shadow')")
export class AliasFiguresRow {
  @PrimaryColumn('uuid', { name: 'adapter_id', ...PRIMARY })
  adapterId!: string;

  @ManyToOne(() => Adapter, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'adapter_id', foreignKeyConstraintName: 'alias_figures_adapter_id_fkey' })
  adapter?: Relation<Adapter>;

  @PrimaryColumn('text', { ...PRIMARY })
  alias!: string;

  @PrimaryColumn('text', { ...PRIMARY })
  kind!: 'guard' | 'shadow';

  @PrimaryColumn('integer', { ...PRIMARY })
  revision!: number;

  @PrimaryColumn('integer', { ...PRIMARY })
  version!: number;

  /** Names the running total of one process: it is written whole, so a repeated write counts once. */
  @PrimaryColumn('uuid', { ...PRIMARY })
  part!: string;

  @Column('uuid', { name: 'tenant_id' })
  tenantId!: string;

  /** Sums by name. */
  @Column('jsonb')
  figures!: Record<string, number>;

  @Column('timestamptz', { name: 'updated_at', default: () => 'now()' })
  updatedAt!: Date;
}
