import { Injectable } from '@nestjs/common';
import { AccountTotalsService } from '#accounts/account-totals.service.js';
import { AdapterTotalsService } from '#adapters/registry/adapter-totals.service.js';
import type { Overview } from '#contracts/overview-api.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import type { EngineView } from '#fleet/engine-handle.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { MaintenanceService } from '#stores/maintenance/maintenance.service.js';
import { HealthService } from '../health/health.service.js';
import { JobsService } from './jobs.service.js';

const AUDIT_ENTRIES = 10;

/** One look at everything. */
@Injectable()
export class OverviewService {
  constructor(
    private readonly health: HealthService,
    private readonly maintenance: MaintenanceService,
    private readonly fleet: EngineFleet,
    private readonly accounts: AccountTotalsService,
    private readonly adapters: AdapterTotalsService,
    private readonly jobs: JobsService,
    private readonly audit: AuditLog,
  ) {}

  async read(): Promise<Overview> {
    const [{ checks }, tenants, { adapters, versions }, usage, queues, audit] = await Promise.all([
      this.health.readiness(),
      this.accounts.tenants(),
      this.adapters.read(),
      this.accounts.lastHour(),
      this.jobs.queues().catch(() => undefined),
      this.audit.list({ limit: AUDIT_ENTRIES }),
    ]);
    const views = this.fleet.statuses();
    return {
      object: 'overview',
      created_at: new Date().toISOString(),
      checks,
      maintenance: this.maintenance.current,
      base_model: views.find(({ state }) => state === 'ready')?.status?.base?.name ?? null,
      engines: engineTotals(views),
      tenants,
      adapters,
      versions,
      queues: queues ? [...queues.data] : null,
      usage,
      audit: [...audit.data],
    };
  }
}

function engineTotals(views: readonly EngineView[]): Overview['engines'] {
  const answering = views.flatMap(({ state, status }) =>
    status === undefined || state === 'unreachable' ? [] : [status],
  );
  const sum = (of: (status: (typeof answering)[number]) => number): number =>
    answering.reduce((total, status) => total + of(status), 0);
  return {
    total: views.length,
    ready: views.filter(({ state }) => state === 'ready').length,
    running_requests: sum(({ load }) => load.runningRequests),
    waiting_requests: sum(({ load }) => load.waitingRequests),
    queued_tokens: sum(({ load }) => load.queuedTokens),
    kv_pages: sum(({ kv }) => kv.pages),
    kv_free_pages: sum(({ kv }) => kv.freePages),
    adapter_bytes: sum(({ adapters }) => adapters.bytes),
    adapter_limit_bytes: sum(({ adapters }) => adapters.limitBytes),
  };
}
