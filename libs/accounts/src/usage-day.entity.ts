import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { UsageSums } from './usage-sums.js';

const PRIMARY = { primaryKeyConstraintName: 'usage_days_pkey' };

/** The sum of a day's (UTC) rows of usage_minutes; only right while usage_rollups says so. */
@Entity('usage_days')
@Index('usage_days_day_idx', ['day'], { type: 'brin' })
export class UsageDay extends UsageSums {
  @PrimaryColumn('uuid', { name: 'tenant_id', ...PRIMARY })
  tenantId!: string;

  @PrimaryColumn('date', { ...PRIMARY })
  day!: string;

  @PrimaryColumn('text', { name: 'key_id', ...PRIMARY })
  keyId!: string;

  @PrimaryColumn('text', { ...PRIMARY })
  served!: string;
}

/** A day with usage. */
@Entity('usage_rollups')
export class UsageRollupDay {
  @PrimaryColumn('date', { primaryKeyConstraintName: 'usage_rollups_pkey' })
  day!: string;

  /** When its sums in usage_days were complete; null: they are not, e.g. because a minute came late. */
  @Column('timestamptz', { name: 'rolled_at', nullable: true })
  rolledAt!: Date | null;

  /** When its minutes were deleted; null: they are there. */
  @Column('timestamptz', { name: 'pruned_at', nullable: true })
  prunedAt!: Date | null;
}
