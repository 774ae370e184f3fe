import { Injectable } from '@nestjs/common';
import type { AdminHistoryQuery, HistoryList, HistoryQuery } from '#contracts/history-api.js';
import { AppError } from '#runtime/app-error.js';
import { historyRange, type HistoryRange, stepOf } from '#stores/history-range.js';
import { DataSource } from 'typeorm';
import { TenantsService } from '../tenants.service.js';
import { UsageService } from '../usage.service.js';
import { ALL_ADAPTERS, ALL_TENANTS } from './figure-row.js';
import { figuresResource } from './figures-resource.js';
import { addFigures, COUNTS, type Figures, HISTOGRAMS, noFigures } from './figures.js';

/** Whose figures: of everybody, of a tenant, or of what a tenant called. */
export interface FigureScope {
  readonly tenantId: string;
  readonly served: string;
}

export const EVERYBODY: FigureScope = { tenantId: ALL_TENANTS, served: ALL_ADAPTERS };

export interface TimedFigures extends Figures {
  readonly at: Date;
}

/** Answers what the charts show, by time. */
@Injectable()
export class HistoryService {
  constructor(
    private readonly database: DataSource,
    private readonly usage: UsageService,
    private readonly tenants: TenantsService,
  ) {}

  ofTenant(tenantId: string, query: HistoryQuery): Promise<HistoryList> {
    return this.#list({ tenantId, served: query.adapter ?? ALL_ADAPTERS }, query);
  }

  async ofAll({ tenant, adapter, ...query }: AdminHistoryQuery): Promise<HistoryList> {
    if (tenant !== undefined)
      return this.ofTenant((await this.tenants.find(tenant)).id, { ...query, adapter });
    return this.#list(adapter === undefined ? EVERYBODY : needsTenant(), query);
  }

  /** Rows as they stand in the database. */
  async rows(scope: FigureScope, { from, to, rows }: Omit<HistoryRange, 'step_s'>): Promise<TimedFigures[]> {
    return this.database.query<TimedFigures[]>(SELECT, [scope.tenantId, scope.served, rows, from, to]);
  }

  async #list(scope: FigureScope, query: HistoryQuery): Promise<HistoryList> {
    const range = historyRange(query);
    await this.usage.flush();
    const points = new Map<string, Figures>();
    for (const row of await this.rows(scope, range)) {
      const at = stepOf(range, row.at);
      const point = points.get(at) ?? noFigures();
      addFigures(point, row);
      points.set(at, point);
    }
    const data = [...points].map(([at, figures]) => ({ at, ...figuresResource(figures) }));
    const { from, to, step_s } = range;
    const shown = { from: from.toISOString(), to: to.toISOString(), step_s };
    return { object: 'list', data, has_more: false, last_id: null, ...shown };
  }
}

function needsTenant(): never {
  throw new AppError('invalid_request', {
    message: 'An adapter is one of a tenant: name the tenant too.',
    param: 'tenant',
  });
}

const SELECT = `
  SELECT at, error_codes,
    ${COUNTS.map((name) => `${name}::float8 AS ${name}`).join(', ')},
    ${HISTOGRAMS.map((name) => `${name}::float8[] AS ${name}`).join(', ')}
  FROM request_figures
  WHERE tenant_id = $1 AND served = $2 AND step = $3 AND at >= $4 AND at < $5
  ORDER BY at`;
