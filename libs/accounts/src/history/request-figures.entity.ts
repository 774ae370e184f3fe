import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

const PRIMARY = { primaryKeyConstraintName: 'request_figures_pkey' };
const COUNT = { default: 0 };
const HISTOGRAM = { array: true, default: () => "'{}'" };

/** What the charts show of a minute, an hour or a day: of all requests, of a tenant's, or of one adapter's. */
@Entity('request_figures')
@Check('request_figures_step_check', "step IN ('minute', 'hour', 'day')")
@Index('request_figures_step_at_idx', ['step', 'at'])
export class RequestFigures {
  /** All zeros: of every tenant. */
  @PrimaryColumn('uuid', { name: 'tenant_id', ...PRIMARY })
  tenantId!: string;

  /** The adapter as it was called; `*`: whatever was called, `-`: the base model, `+`: adapters beyond the limit. */
  @PrimaryColumn('text', { ...PRIMARY })
  served!: string;

  @PrimaryColumn('text', { ...PRIMARY })
  step!: 'minute' | 'hour' | 'day';

  @PrimaryColumn('timestamptz', { ...PRIMARY })
  at!: Date;

  @Column('bigint', { ...COUNT })
  requests!: string;

  @Column('bigint', { ...COUNT })
  errors!: string;

  @Column('jsonb', { name: 'error_codes', default: () => "'{}'" })
  errorCodes!: Readonly<Record<string, number>>;

  @Column('bigint', { name: 'prompt_tokens', ...COUNT })
  promptTokens!: string;

  @Column('bigint', { name: 'cached_tokens', ...COUNT })
  cachedTokens!: string;

  @Column('bigint', { name: 'completion_tokens', ...COUNT })
  completionTokens!: string;

  @Column('double precision', { name: 'ttft_ms', ...COUNT })
  ttft_ms!: number;

  @Column('bigint', { ...HISTOGRAM })
  ttft!: string[];

  @Column('double precision', { name: 'tpot_ms', ...COUNT })
  tpot_ms!: number;

  @Column('bigint', { ...HISTOGRAM })
  tpot!: string[];

  @Column('double precision', { name: 'queue_ms', ...COUNT })
  queue_ms!: number;

  @Column('bigint', { ...HISTOGRAM })
  queue!: string[];

  /** Requests that ended well or by a fault of ours; `good`: of them those within the limits of goodput. */
  @Column('bigint', { ...COUNT })
  judged!: string;

  @Column('bigint', { ...COUNT })
  good!: string;

  @Column('bigint', { name: 'good_tokens', ...COUNT })
  goodTokens!: string;
}
