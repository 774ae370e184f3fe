import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Gauge, type Registry } from 'prom-client';
import { DigestOwners } from '#adapters/registry/digest-owners.service.js';
import { IMPORT_JOB } from '#adapters/imports/import-job.js';
import { INGEST_JOB } from '#adapters/intake/ingest-job.js';
import { JOB_STATES } from '#contracts/jobs-api.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { METRICS } from '#runtime/metrics.js';
import type { JobInspector, Queues } from '#stores/queue/job-queue.js';
import { QUEUES } from '#stores/stores.module.js';
import { DataSource } from 'typeorm';

const KINDS = [INGEST_JOB, IMPORT_JOB];
/** Engines name an adapter in their metrics by so much of its digest. */
const NAME_CHARACTERS = 12;
const MOST_NAMES = 500;

/** What waits in each table whose rows are work, and since when. */
const WAITING = `
  SELECT 'webhook_delivery' AS work, count(*)::float8 AS waiting, extract(epoch FROM now() - min(due_at))::float8 AS age
    FROM webhook_deliveries WHERE due_at <= now()
  UNION ALL SELECT 'hook_delivery', count(*)::float8, extract(epoch FROM now() - min(due_at))::float8
    FROM hook_deliveries WHERE due_at <= now()
  UNION ALL SELECT 'outbox_event', count(*)::float8, extract(epoch FROM now() - min(created_at))::float8
    FROM outbox_events WHERE dispatched_at IS NULL
  UNION ALL SELECT 'batch', count(*)::float8, extract(epoch FROM now() - min(due_at))::float8
    FROM batches WHERE due_at <= now()
  UNION ALL SELECT 'version', count(*)::float8, extract(epoch FROM now() - min(created_at))::float8
    FROM adapter_versions WHERE state IN ('uploaded', 'validating')
  UNION ALL SELECT 'import', count(*)::float8, extract(epoch FROM now() - min(created_at))::float8
    FROM adapter_versions WHERE state = 'importing'`;

/** What waits for any worker; read when it is scraped, from what all workers share. */
@Injectable()
export class WorkGauges implements OnModuleInit, OnApplicationShutdown {
  readonly #inspector: JobInspector;

  constructor(
    @Inject(METRICS) private readonly registry: Registry,
    @Inject(QUEUES) queues: Queues,
    private readonly database: DataSource,
    private readonly fleet: EngineFleet,
    private readonly owners: DigestOwners,
  ) {
    this.#inspector = queues.inspector(KINDS);
  }

  onModuleInit(): void {
    this.#queueGauges();
    this.#tableGauges();
    this.#adapterNames();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#inspector.close();
  }

  #queueGauges(): void {
    const registers = [this.registry];
    const inspector = this.#inspector;
    const collect = oncePerScrape(async () => {
      jobs.reset();
      oldest.reset();
      try {
        for (const kind of KINDS) {
          const [counts, since] = await Promise.all([inspector.counts(kind), inspector.oldest(kind)]);
          for (const state of JOB_STATES) jobs.set({ kind, state }, counts[state]);
          oldest.set({ kind }, since ? Math.max(0, (Date.now() - since.getTime()) / 1000) : 0);
        }
        up.set(1);
      } catch {
        up.set(0);
      }
    });
    const up = new Gauge({
      name: 'lorikeet_worker_queue_up',
      help: 'Whether the job queue answered this scrape',
      registers,
      collect,
    });
    const oldest = new Gauge({
      name: 'lorikeet_worker_oldest_job_seconds',
      help: 'Since when the oldest waiting job of a kind waits; 0: none waits',
      labelNames: ['kind'],
      registers,
      collect,
    });
    const jobs = new Gauge({
      name: 'lorikeet_worker_jobs',
      help: 'Jobs in the queue, of all workers, by state; failed ones are kept for a week',
      labelNames: ['kind', 'state'],
      registers,
      collect,
    });
  }

  #tableGauges(): void {
    const registers = [this.registry];
    const { database } = this;
    const collect = oncePerScrape(async () => {
      waiting.reset();
      age.reset();
      try {
        const rows = (await database.query(WAITING)) as {
          work: string;
          waiting: number;
          age: number | null;
        }[];
        for (const row of rows) {
          waiting.set({ work: row.work }, row.waiting);
          age.set({ work: row.work }, Math.max(0, row.age ?? 0));
        }
        up.set(1);
      } catch {
        up.set(0);
      }
    });
    const up = new Gauge({
      name: 'lorikeet_worker_database_up',
      help: 'Whether PostgreSQL answered this scrape',
      registers,
      collect,
    });
    const age = new Gauge({
      name: 'lorikeet_worker_waiting_age_seconds',
      help: 'Since when the oldest waiting row of a kind of work waits; 0: none waits',
      labelNames: ['work'],
      registers,
      collect,
    });
    const waiting = new Gauge({
      name: 'lorikeet_worker_waiting',
      help: 'Rows that wait for any worker, by kind of work: deliveries that are due, events, unsettled versions',
      labelNames: ['work'],
      registers,
      collect,
    });
  }

  /** Joins the engines' label `adapter` to names; here, since tenants' names are not for who reads the API's port. */
  #adapterNames(): void {
    const { fleet, owners } = this;
    void new Gauge({
      name: 'lorikeet_adapter_info',
      help: 'Always 1: the versions behind the label `adapter` of the engines, of adapters that some engine has loaded',
      labelNames: ['adapter', 'tenant', 'name', 'version'],
      registers: [this.registry],
      async collect() {
        this.reset();
        const resident = fleet.statuses().flatMap(({ status }) => status?.adapters.resident ?? []);
        const digests = [...new Set(resident.map(({ digest }) => digest))].slice(0, MOST_NAMES);
        const found = await owners.find(digests).catch(() => new Map<string, never[]>());
        for (const [digest, versions] of found) {
          const [owner] = versions;
          if (!owner) continue;
          const { tenant, adapter: name, version } = owner;
          this.set({ adapter: digest.slice(0, NAME_CHARACTERS), tenant, name, version }, 1);
        }
      },
    });
  }
}

/** Several gauges that are read together: the first of them that a scrape asks reads for all. */
function oncePerScrape(read: () => Promise<void>): () => Promise<void> {
  let reading: Promise<void> | undefined;
  return () => (reading ??= read().finally(() => (reading = undefined)));
}
