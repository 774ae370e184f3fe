import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#runtime/logger.js';
import { newId } from '#stores/ids.js';
import type { DataSource } from 'typeorm';
import { Bell } from './bell.js';
import { claimSql, type Lease, type LeasedTable, releaseSql, renewSql } from './lease-rules.js';

/** Work whose worker died waits this long for another. */
const LEASE_S = 15;
const RENEW_EVERY_MS = 5_000;
/** Should nobody ring, due work is found after this long. */
const LOOK_EVERY_MS = 1_000;
const AWAY_PAUSE_MS = 2_000;
const CLOSE_TIMEOUT_MS = 4_000;

export interface LeaseLoopOptions {
  readonly work: LeasedTable;
  readonly concurrency: number;
  /** How much of one share may run in this process at once. */
  readonly perShare: number;
  /**
   * Does what is due and writes what comes next, by the lease. What it throws is logged; the row is then due again when
   * the lease ends. `signal` aborts when the lease is lost or the process closes.
   */
  readonly handle: (lease: Lease, signal: AbortSignal) => Promise<void>;
  readonly logger: Logger;
}

/** Takes due work out of a table and runs it, for ever; any number of processes may do so side by side. */
export class LeaseLoop {
  readonly #bell = new Bell();
  readonly #closing = new AbortController();
  readonly #running = new Map<Promise<void>, Lease>();
  #loop: Promise<void> | undefined;

  constructor(
    private readonly database: DataSource,
    private readonly options: LeaseLoopOptions,
  ) {}

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Something may be due now. */
  wake(): void {
    this.#bell.ring();
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the worker is closing'));
    this.#bell.ring();
    const late = sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false });
    await Promise.race([Promise.all([this.#loop, ...this.#running.keys()]), late]);
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const free = this.options.concurrency - this.#running.size;
        const taken = free > 0 ? await this.#claim(free) : [];
        for (const lease of taken) this.#begin(lease);
        if (taken.length > 0) continue;
        await this.#bell.wait(LOOK_EVERY_MS);
      } catch (err) {
        if (signal.aborted) return;
        this.options.logger.warn({ err, table: this.options.work.table }, 'cannot look for due work');
        await sleep(AWAY_PAUSE_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #claim(limit: number): Promise<Lease[]> {
    const { work, perShare } = this.options;
    const leaseId = newId();
    // An UPDATE ... RETURNING answers [rows, count].
    const [rows] = await this.database.query<[{ id: string; share: string }[], number]>(claimSql(work), [
      leaseId,
      limit,
      LEASE_S,
      perShare,
      this.#busyShares(),
    ]);
    return rows.map(({ id, share }) => ({ id, share, leaseId }));
  }

  #busyShares(): string[] {
    const counts = new Map<string, number>();
    for (const { share } of this.#running.values()) counts.set(share, (counts.get(share) ?? 0) + 1);
    return [...counts].filter(([, count]) => count >= this.options.perShare).map(([share]) => share);
  }

  #begin(lease: Lease): void {
    const done = this.#handle(lease).finally(() => {
      this.#running.delete(done);
      this.#bell.ring();
    });
    this.#running.set(done, lease);
  }

  async #handle(lease: Lease): Promise<void> {
    const lost = new AbortController();
    const timer = setInterval(() => void this.#renew(lease, lost), RENEW_EVERY_MS);
    const signal = AbortSignal.any([lost.signal, this.#closing.signal]);
    try {
      await this.options.handle(lease, signal);
    } catch (err) {
      if (this.#closing.signal.aborted) await this.#release(lease);
      if (signal.aborted) return;
      this.options.logger.error({ err, table: this.options.work.table, id: lease.id }, 'leased work failed');
    } finally {
      clearInterval(timer);
    }
  }

  async #renew({ id, leaseId }: Lease, lost: AbortController): Promise<void> {
    try {
      const [rows] = await this.database.query<[unknown[], number]>(renewSql(this.options.work), [
        id,
        leaseId,
        LEASE_S,
      ]);
      if (rows.length === 0) lost.abort(new Error('the lease was lost'));
    } catch (err) {
      this.options.logger.warn({ err, id }, 'a lease could not be renewed');
    }
  }

  async #release({ id, leaseId }: Lease): Promise<void> {
    await this.database.query(releaseSql(this.options.work), [id, leaseId]).catch(() => undefined); // it ends by itself
  }
}
