import { Entity, Index, PrimaryColumn } from 'typeorm';
import { UsageSums } from './usage-sums.js';

const PRIMARY = { primaryKeyConstraintName: 'usage_minutes_pkey' };

/** What one key spent on one served version in one minute. */
@Entity('usage_minutes')
@Index('usage_minutes_minute_idx', ['minute'], { type: 'brin' })
export class UsageMinute extends UsageSums {
  @PrimaryColumn('uuid', { name: 'tenant_id', ...PRIMARY })
  tenantId!: string;

  @PrimaryColumn('timestamptz', { ...PRIMARY })
  minute!: Date;

  /** An API key's id, or `operator`. */
  @PrimaryColumn('text', { name: 'key_id', ...PRIMARY })
  keyId!: string;

  /** `<adapter id>@<version>`, several of them joined by `+`, or `base`: what makes the row's identity. */
  @PrimaryColumn('text', { ...PRIMARY })
  served!: string;
}
