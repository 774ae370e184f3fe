import { Column, Entity, PrimaryColumn } from 'typeorm';

const PRIMARY = { primaryKeyConstraintName: 'usage_minutes_pkey' };
/** Sums that may pass 2^31; PostgreSQL gives them as text. */
const SUM = { default: 0 };

/** What one key spent on one served version in one minute. Names are kept, so that usage outlives what was deleted. */
@Entity('usage_minutes')
export class UsageMinute {
  @PrimaryColumn('uuid', { name: 'tenant_id', ...PRIMARY })
  tenantId!: string;

  @PrimaryColumn('timestamptz', { ...PRIMARY })
  minute!: Date;

  /** An API key's id, or `operator`. */
  @PrimaryColumn('text', { name: 'key_id', ...PRIMARY })
  keyId!: string;

  /** `<adapter id>@<version>`, or `base`: what makes the row's identity where adapter and version are null. */
  @PrimaryColumn('text', { ...PRIMARY })
  served!: string;

  @Column('uuid', { name: 'adapter_id', nullable: true })
  adapterId!: string | null;

  @Column('text', { nullable: true })
  adapter!: string | null;

  @Column('integer', { nullable: true })
  version!: number | null;

  @Column('bigint', { ...SUM })
  requests!: string;

  @Column('bigint', { name: 'prompt_tokens', ...SUM })
  promptTokens!: string;

  @Column('bigint', { name: 'cached_tokens', ...SUM })
  cachedTokens!: string;

  @Column('bigint', { name: 'completion_tokens', ...SUM })
  completionTokens!: string;

  @Column('bigint', { ...SUM })
  errors!: string;

  /** Requests that reached a first token, and their summed times to it. */
  @Column('bigint', { name: 'first_tokens', ...SUM })
  firstTokens!: string;

  @Column('double precision', { name: 'ttft_ms', ...SUM })
  ttft_ms!: number;

  @Column('double precision', { name: 'total_ms', ...SUM })
  total_ms!: number;
}
