import { Column } from 'typeorm';

/** Sums that may pass 2^31; PostgreSQL gives them as text. */
const SUM = { default: 0 };

/** What the tables of minutes and of days have in common: what was served, and what it took. */
export abstract class UsageSums {
  @Column('uuid', { name: 'adapter_id', nullable: true })
  adapterId!: string | null;

  /** Names are kept, so that usage outlives what was deleted. */
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

  /** Generations of two tokens and more, and their summed times per token after the first. */
  @Column('bigint', { name: 'tpot_sequences', ...SUM })
  tpotSequences!: string;

  @Column('double precision', { name: 'tpot_ms', ...SUM })
  tpot_ms!: number;

  /** At the prices that stood when it was written. */
  @Column('numeric', { ...SUM })
  cost!: string;
}

/** The columns that add up. */
export const SUM_COLUMNS = [
  'requests',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'errors',
  'first_tokens',
  'ttft_ms',
  'total_ms',
  'tpot_sequences',
  'tpot_ms',
  'cost',
] as const;
