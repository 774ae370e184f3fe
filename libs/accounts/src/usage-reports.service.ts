import { Inject, Injectable } from '@nestjs/common';
import type {
  AdminUsageGroup,
  AdminUsageQuery,
  UsageList,
  UsageQuery,
  UsageRow,
} from '#contracts/usage-api.js';
import { AppError } from '#runtime/app-error.js';
import { DataSource } from 'typeorm';
import { CURRENCY } from './settings.js';
import { TenantsService } from './tenants.service.js';
import { UsageService } from './usage.service.js';
import { fieldsOf, usageSql } from './usage-sql.js';

const DEFAULT_RANGE_MS = 30 * 86_400_000;
const MAX_ROWS = 50_000;

export interface UsageReport {
  readonly list: UsageList;
  /** The columns of a table of its rows. */
  readonly fields: readonly string[];
}

/** Answers what was used, by range and group. */
@Injectable()
export class UsageReports {
  constructor(
    private readonly database: DataSource,
    private readonly usage: UsageService,
    private readonly tenants: TenantsService,
    @Inject(CURRENCY) private readonly currency: string,
  ) {}

  async ofTenant(tenantId: string, query: UsageQuery): Promise<UsageReport> {
    return this.#report(tenantId, query);
  }

  async ofAll({ tenant, ...query }: AdminUsageQuery): Promise<UsageReport> {
    return this.#report(tenant === undefined ? undefined : (await this.tenants.find(tenant)).id, query);
  }

  async #report(tenantId: string | undefined, query: Omit<AdminUsageQuery, 'tenant'>): Promise<UsageReport> {
    await this.usage.flush();
    const to = query.to === undefined ? new Date() : new Date(query.to);
    const from = query.from === undefined ? new Date(to.getTime() - DEFAULT_RANGE_MS) : new Date(query.from);
    if (from > to)
      throw new AppError('invalid_request', { message: '`from` is later than `to`.', param: 'from' });
    const groups = new Set((query.group_by?.split(',') ?? []) as AdminUsageGroup[]);
    if (groups.has('version')) groups.add('adapter'); // a version's number says nothing without its adapter
    const { text, parameters } = usageSql({
      tenantId,
      from,
      to,
      groups,
      adapter: query.adapter,
      keyId: query.key,
      rowLimit: MAX_ROWS + 1,
    });
    const data = (await this.database.query(text, [...parameters])) as UsageRow[];
    if (data.length > MAX_ROWS) throw tooManyRows();
    const range = { from: from.toISOString(), to: to.toISOString(), currency: this.currency };
    return {
      list: { object: 'list', data, has_more: false, last_id: null, ...range },
      fields: fieldsOf(groups),
    };
  }
}

function tooManyRows(): AppError {
  return new AppError('invalid_request', {
    message: `The answer would have more than ${MAX_ROWS} rows: ask for a shorter range or coarser groups.`,
    param: 'group_by',
  });
}
