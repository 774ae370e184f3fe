import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Logger } from '#runtime/logger.js';
import { newId } from '#stores/ids.js';
import { isAway } from '#stores/postgres/database-error.js';
import { DataSource } from 'typeorm';
import { AliasFiguresRow } from './alias-figures.entity.js';
import { addFigures, type Figures } from './figures.js';
import { ADAPTERS_LOGGER } from '../settings.js';

/** What is counted: one version under one revision of an alias. */
export interface FiguresKey {
  readonly tenantId: string;
  readonly adapterId: string;
  readonly alias: string;
  readonly kind: 'guard' | 'shadow';
  readonly revision: number;
  readonly version: number;
}

interface Part {
  readonly id: string;
  readonly key: FiguresKey;
  figures: Figures;
  dirty: boolean;
  usedAt_ms: number;
}

const FLUSH_EVERY_MS = 250;
/** A total that grows no more leaves memory; should it grow again, that is a new part. */
const IDLE_MS = 10 * 60_000;

/**
 * Counts over all API processes: each writes its own running totals, whole, a few times a second. A write that is
 * repeated after a lost answer changes nothing, and no process waits for another.
 */
@Injectable()
export class AliasFigures implements OnModuleInit, OnModuleDestroy {
  readonly #parts = new Map<string, Part>();
  readonly #written = new Set<(key: FiguresKey) => Promise<void>>();
  /** Written, and not every listener has heard of it. */
  readonly #untold = new Map<string, FiguresKey>();
  #flushing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly database: DataSource,
    @Inject(ADAPTERS_LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => void this.#flushQuietly(), FLUSH_EVERY_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushQuietly();
  }

  /**
   * Is told of every key whose figures were written, once all can see them, and again when it throws.
   * Returns how to unsubscribe.
   */
  onWritten(listener: (key: FiguresKey) => Promise<void>): () => void {
    this.#written.add(listener);
    return () => void this.#written.delete(listener);
  }

  add(key: FiguresKey, figures: Figures): void {
    const name = JSON.stringify([key.adapterId, key.alias, key.kind, key.revision, key.version]);
    const part = this.#parts.get(name) ?? { id: newId(), key, figures: {}, dirty: false, usedAt_ms: 0 };
    part.figures = addFigures(part.figures, figures);
    part.dirty = true;
    part.usedAt_ms = Date.now();
    this.#parts.set(name, part);
  }

  /** The sums over all processes, by version; what was counted in the last moments may be missing. */
  async read({ tenantId, adapterId, alias, kind, revision }: Omit<FiguresKey, 'version'>) {
    const rows = await this.database.manager.find(AliasFiguresRow, {
      where: { tenantId, adapterId, alias, kind, revision },
    });
    const sums = new Map<number, Figures>();
    for (const { version, figures } of rows) sums.set(version, addFigures(sums.get(version) ?? {}, figures));
    return sums;
  }

  /** Writes what has changed; rejects when that is not possible now (nothing is lost, the next flush tries again). */
  async flush(): Promise<void> {
    const flush = this.#flushing.then(() => this.#flush());
    this.#flushing = flush.catch(() => undefined);
    return flush;
  }

  async #flush(): Promise<void> {
    const dirty = [...this.#parts].filter(([, part]) => part.dirty);
    if (dirty.length > 0) await this.#write(dirty.map(([, part]) => part));
    for (const [name, { key }] of dirty) this.#untold.set(name, key);
    const idleSince_ms = Date.now() - IDLE_MS;
    for (const [name, part] of this.#parts)
      if (!part.dirty && part.usedAt_ms < idleSince_ms) this.#parts.delete(name);
    for (const [name, key] of this.#untold) {
      for (const listener of this.#written) await listener(key);
      this.#untold.delete(name);
    }
  }

  async #write(parts: readonly Part[]): Promise<void> {
    const rows = parts.map(({ id, key, figures }) => ({
      adapter_id: key.adapterId,
      alias: key.alias,
      kind: key.kind,
      revision: key.revision,
      version: key.version,
      part: id,
      tenant_id: key.tenantId,
      figures,
    }));
    for (const part of parts) part.dirty = false;
    try {
      await this.database.query(WRITE, [JSON.stringify(rows)]);
    } catch (error) {
      for (const part of parts) part.dirty = true;
      throw error;
    }
  }

  async #flushQuietly(): Promise<void> {
    try {
      await this.flush();
    } catch (err) {
      const level = isAway(err) ? 'debug' : 'warn';
      this.logger[level]({ err }, 'figures of aliases could not be written yet');
    }
  }
}

/** Figures of an adapter that was deleted meanwhile go nowhere. */
const WRITE = `
  INSERT INTO alias_figures (adapter_id, alias, kind, revision, version, part, tenant_id, figures, updated_at)
  SELECT given.adapter_id, given.alias, given.kind, given.revision, given.version, given.part, given.tenant_id,
    given.figures, now()
  FROM jsonb_populate_recordset(NULL::alias_figures, $1::jsonb) given
  JOIN adapters ON adapters.id = given.adapter_id
  ON CONFLICT (adapter_id, alias, kind, revision, version, part)
  DO UPDATE SET figures = excluded.figures, updated_at = excluded.updated_at`;
