import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { Notifications } from '#stores/postgres/notifications.js';
import { DataSource } from 'typeorm';
import type { Caller } from '../request-caller.js';
import { ACCOUNTS_LOGGER, CURRENCY } from '../settings.js';
import { type BudgetRow, SELECT_BUDGETS } from './budget-row.js';
import { BUDGETS_CHANNEL } from './spending.js';

/** Beside what is heard at once: should a notice be missed. */
const READ_EVERY_MS = 15_000;

/** Knows which budgets that stop are spent, so that a request is refused without asking the database. */
@Injectable()
export class SpentBudgets implements OnModuleInit, OnModuleDestroy {
  #spent: ReadonlyMap<string, readonly BudgetRow[]> = new Map();
  #unsubscribe: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Reads go one after another, so that an old answer never replaces a newer one. */
  #reading: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: DataSource,
    private readonly notifications: Notifications,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
    @Inject(CURRENCY) private readonly currency: string,
  ) {}

  async onModuleInit(): Promise<void> {
    const read = (): void => {
      this.#reading = this.#reading.then(() => this.#read());
    };
    this.#unsubscribe = this.notifications.subscribe(BUDGETS_CHANNEL, { changed: read, missed: read });
    this.#timer = setInterval(read, READ_EVERY_MS).unref();
    read();
    await this.#reading;
  }

  async onModuleDestroy(): Promise<void> {
    this.#unsubscribe();
    clearInterval(this.#timer);
    await this.#reading;
  }

  /** Why this caller may ask for nothing more now; undefined: it may. */
  refusal({ tenant, keyId }: Pick<Caller, 'tenant' | 'keyId'>, now_ms = Date.now()): AppError | undefined {
    const budget = this.#spent
      .get(tenant.id)
      ?.find(({ key_id, ends }) => (key_id === null || key_id === keyId) && now_ms < Date.parse(ends));
    if (!budget) return undefined;
    const whose = budget.key_id === null ? 'the tenant' : 'the API key';
    return new AppError('insufficient_quota', {
      message: `The budget of ${whose}, ${budget.amount} ${this.currency} a ${budget.period}, is spent; it begins anew on ${budget.ends} (UTC).`,
    });
  }

  /** While PostgreSQL is away, what was known holds. */
  async #read(): Promise<void> {
    try {
      const rows = await this.database.query<BudgetRow[]>(
        `${SELECT_BUDGETS} WHERE budget.stop AND spending.cost >= budget.amount`,
      );
      const spent = new Map<string, BudgetRow[]>();
      for (const row of rows) spent.set(row.tenant_id, [...(spent.get(row.tenant_id) ?? []), row]);
      this.#spent = spent;
    } catch (err) {
      this.logger.debug({ err }, 'spent budgets could not be read; it is tried again');
    }
  }
}
