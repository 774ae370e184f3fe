import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { INGEST_PRODUCER, type IngestJob } from '#adapters/intake/ingest-job.js';
import { type CheckState, DependencyCheck } from '#stores/dependency-check.js';
import type { JobProducer } from '#stores/queue/job-queue.js';
import { DataSource } from 'typeorm';

interface Health {
  readonly status: 'ready' | 'not_ready';
  readonly checks: Readonly<Record<'database' | 'queue', CheckState>>;
}

/** Whether this worker runs, and whether it can reach what it works with. */
@Controller('health')
export class HealthController {
  readonly #database: DependencyCheck;
  readonly #queue: DependencyCheck;

  constructor(database: DataSource, @Inject(INGEST_PRODUCER) queue: JobProducer<IngestJob>) {
    this.#database = new DependencyCheck(() => database.query('SELECT 1'));
    this.#queue = new DependencyCheck(() => queue.answers());
  }

  @Get('live')
  live(): { status: 'live' } {
    return { status: 'live' };
  }

  @Get()
  health(@Res({ passthrough: true }) reply: FastifyReply): Promise<Health> {
    return this.ready(reply);
  }

  /** 503 while PostgreSQL or the queue is away: jobs go on by themselves once it is back. */
  @Get('ready')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Health> {
    const [database, queue] = await Promise.all([this.#database.state(), this.#queue.state()]);
    const ready = database === 'up' && queue === 'up';
    if (!ready) void reply.status(503).header('retry-after', '1');
    return { status: ready ? 'ready' : 'not_ready', checks: { database, queue } };
  }
}
