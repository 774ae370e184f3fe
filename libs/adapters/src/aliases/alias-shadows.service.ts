import { Injectable } from '@nestjs/common';
import type { ShadowReport } from '#contracts/alias-trials.js';
import { AppError } from '#runtime/app-error.js';
import { DataSource } from 'typeorm';
import { findAdapter } from '../registry/adapter-rows.js';
import { AliasChange } from './alias-change.entity.js';
import { AliasFigures } from './alias-figures.service.js';
import { findAlias } from './alias-rows.js';
import type { AliasAddress } from './aliases.service.js';
import { type Figures, meanOf } from './figures.js';
import type { ResolvedVersion } from '../registry/served-target.js';

/** Figures named `error:<code>` count the candidate's failures by their code. */
const ERROR_PREFIX = 'error:';

/** What one copied request adds to its shadow's figures. */
export interface ShadowOutcome {
  readonly fate: 'compared' | 'failed' | 'dropped';
  /** The code with which the candidate failed. */
  readonly error?: string;
  readonly figures?: ShadowFigures;
}

export interface ShadowFigures {
  readonly answers: number;
  readonly exact: number;
  readonly matched_tokens: number;
  readonly served_tokens: number;
  readonly diverged: number;
  readonly divergence_sum: number;
  readonly served_ttft_ms: number;
  readonly served_ttfts: number;
  readonly served_tpot_ms: number;
  readonly served_tpots: number;
  readonly ttft_ms: number;
  readonly ttfts: number;
  readonly tpot_ms: number;
  readonly tpots: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
}

/** How a candidate does that gets copies of an alias's traffic. */
@Injectable()
export class AliasShadows {
  constructor(
    private readonly database: DataSource,
    private readonly figures: AliasFigures,
  ) {}

  note({ alias, ...version }: ResolvedVersion, { fate, error, figures }: ShadowOutcome): void {
    if (!alias?.shadow) return;
    const key = {
      tenantId: version.ownerTenant,
      adapterId: version.adapterId,
      alias: alias.name,
      kind: 'shadow' as const,
      revision: alias.revision,
      version: alias.shadow.version.version,
    };
    const failed = error === undefined ? {} : { [ERROR_PREFIX + error]: 1 };
    this.figures.add(key, { [fate]: 1, ...failed, ...figures });
  }

  /** Of the alias as it stands, or of an earlier revision. */
  async report(address: AliasAddress, earlier: number | undefined): Promise<ShadowReport> {
    const { tenantId, adapter: name, alias } = address;
    const { manager } = this.database;
    const adapter = await findAdapter(manager, tenantId, name);
    const revision = earlier ?? (await findAlias(manager, adapter, alias)).revision;
    const where = { tenantId, adapterId: adapter.id, alias, revision };
    const change = await manager.findOne(AliasChange, { where });
    if (!change) throw new AppError('not_found', { message: 'The alias has no such revision.' });
    await this.figures.flush();
    const sums = await this.figures.read({ ...where, kind: 'shadow' });
    const figures = change.shadow ? (sums.get(change.shadow.version) ?? {}) : {};
    return {
      object: 'adapter.alias.shadow',
      adapter: name,
      alias,
      revision,
      shadow: change.shadow,
      ...shown(figures),
    };
  }
}

function shown(f: Figures): Pick<ShadowReport, 'requests' | 'agreement' | 'latency' | 'tokens' | 'errors'> {
  const count = (name: string): number => f[name] ?? 0;
  return {
    requests: { compared: count('compared'), failed: count('failed'), dropped: count('dropped') },
    agreement: {
      answers: count('answers'),
      exact: count('exact'),
      exact_rate: meanOf(f.exact, f.answers),
      token_match_rate: meanOf(f.matched_tokens, f.served_tokens),
      first_divergence: meanOf(f.divergence_sum, f.diverged),
    },
    latency: {
      served: {
        ttft_ms: meanOf(f.served_ttft_ms, f.served_ttfts),
        tpot_ms: meanOf(f.served_tpot_ms, f.served_tpots),
      },
      candidate: { ttft_ms: meanOf(f.ttft_ms, f.ttfts), tpot_ms: meanOf(f.tpot_ms, f.tpots) },
    },
    tokens: {
      prompt: count('prompt_tokens'),
      cached: count('cached_tokens'),
      completion: count('completion_tokens'),
    },
    errors: Object.fromEntries(
      Object.entries(f)
        .filter(([name]) => name.startsWith(ERROR_PREFIX))
        .map(([name, value]) => [name.slice(ERROR_PREFIX.length), value]),
    ),
  };
}
