import type { ErrorCode } from '#contracts/errors.js';
import { ROW_STEPS, startOf } from '#stores/history-range.js';
import type { UsageRecord } from '../usage-buffer.js';
import {
  addFigures,
  type Figures,
  figuresOf,
  figuresOfRefusal,
  type GoodputLimits,
  noFigures,
} from './figures.js';
import { ALL_ADAPTERS, ALL_TENANTS, BASE, type FigureRow, OTHER_ADAPTERS } from './figure-row.js';

/** Adapters of one tenant that get rows of their own on one day, as far as one process sees; the rest share one. */
const ADAPTERS_PER_DAY = 500;

interface Sum {
  readonly tenant_id: string;
  readonly served: string;
  readonly minute_ms: number;
  readonly figures: Figures;
}

/** Adds figures up by minute until they are taken: of all requests, of each tenant, of each adapter. */
export class FigureBuffer {
  #sums = new Map<string, Sum>();
  readonly #adapters = new Map<string, Set<string>>();
  #day = '';

  constructor(private readonly limits: GoodputLimits) {}

  add(record: UsageRecord, at: Date): void {
    const served = this.#served(record, at);
    this.#add(figuresOf(record, this.limits), record.tenantId, [ALL_ADAPTERS, served], at);
  }

  /** A request that had no model yet. */
  addRefusal(tenantId: string, code: ErrorCode, at: Date): void {
    this.#add(figuresOfRefusal(code), tenantId, [ALL_ADAPTERS], at);
  }

  /** Rows of all steps, in the order of the table's key (two processes that write the same rows then never deadlock). */
  take(): FigureRow[] {
    const rows = new Map<string, FigureRow>();
    for (const { tenant_id, served, minute_ms, figures } of this.#sums.values()) {
      for (const step of ROW_STEPS) {
        const at = startOf(step, minute_ms);
        const key = [tenant_id, served, step, at].join('\n');
        const row = rows.get(key) ?? { tenant_id, served, step, at, ...noFigures() };
        addFigures(row, figures);
        rows.set(key, row);
      }
    }
    this.#sums = new Map();
    return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  #add(figures: Figures, tenantId: string, names: readonly string[], at: Date): void {
    this.#addTo(ALL_TENANTS, ALL_ADAPTERS, at, figures);
    for (const served of names) this.#addTo(tenantId, served, at, figures);
  }

  #addTo(tenant_id: string, served: string, at: Date, figures: Figures): void {
    const minute_ms = Math.floor(at.getTime() / 60_000) * 60_000;
    const key = [tenant_id, served, minute_ms].join('\n');
    const sum = this.#sums.get(key) ?? { tenant_id, served, minute_ms, figures: noFigures() };
    addFigures(sum.figures, figures);
    this.#sums.set(key, sum);
  }

  #served({ tenantId, adapter }: UsageRecord, at: Date): string {
    if (adapter === undefined) return BASE;
    const day = at.toISOString().slice(0, 10);
    if (day !== this.#day) this.#adapters.clear();
    this.#day = day;
    const known = this.#adapters.get(tenantId) ?? new Set();
    if (!known.has(adapter) && known.size >= ADAPTERS_PER_DAY) return OTHER_ADAPTERS;
    this.#adapters.set(tenantId, known.add(adapter));
    return adapter;
  }
}
