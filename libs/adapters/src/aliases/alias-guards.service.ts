import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import { AliasFigures, type FiguresKey } from './alias-figures.service.js';
import { AliasesService } from './aliases.service.js';
import { ADAPTERS_LOGGER } from '../settings.js';
import type { ResolvedVersion } from '../registry/served-target.js';

/** How a request that an alias routed has ended. */
export interface GuardedOutcome {
  /** It failed, and not by its caller's fault. */
  readonly failed: boolean;
  /** Times per token after the first, one for each answer that has one. */
  readonly tpot: { readonly sequences: number; readonly sum_ms: number };
}

/** Watches versions that just got more traffic; an alias whose version breaks a bound goes back one step. */
@Injectable()
export class AliasGuards implements OnModuleInit, OnModuleDestroy {
  #unsubscribe: () => void = () => undefined;

  constructor(
    private readonly figures: AliasFigures,
    private readonly aliases: AliasesService,
    @Inject(ADAPTERS_LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.#unsubscribe = this.figures.onWritten(async (key) => {
      if (key.kind === 'guard') await this.judge(key);
    });
  }

  onModuleDestroy(): void {
    this.#unsubscribe();
  }

  note({ alias, ...version }: ResolvedVersion, { failed, tpot }: GuardedOutcome): void {
    const guard = alias?.guard;
    if (!alias || !guard?.versions.includes(version.version) || Date.now() >= Date.parse(guard.until)) return;
    const key = {
      tenantId: version.ownerTenant,
      adapterId: version.adapterId,
      alias: alias.name,
      kind: 'guard' as const,
      revision: alias.revision,
      version: version.version,
    };
    this.figures.add(key, {
      requests: 1,
      errors: failed ? 1 : 0,
      tpot_ms: tpot.sum_ms,
      tpot_sequences: tpot.sequences,
    });
  }

  /**
   * Every process judges after its own write, by the sums of all: whichever writes last sees everything, and the
   * alias's revision lets only one of them act.
   */
  async judge(key: FiguresKey): Promise<void> {
    const breach = await this.aliases.rollbackOnBreach(key, await this.figures.read(key));
    if (breach) this.logger.warn({ adapterId: key.adapterId, alias: key.alias, breach }, 'alias rolled back');
  }
}
