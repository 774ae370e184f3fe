import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { INGEST_PRODUCER, type IngestJob } from '#adapters/intake/ingest-job.js';
import type { JobProducer } from '#stores/queue/job-queue.js';
import { DataSource } from 'typeorm';

const CHECK_TIMEOUT_MS = 2_000;

type CheckState = 'up' | 'down';

interface Health {
  readonly status: 'ready' | 'not_ready';
  readonly checks: Readonly<Record<'database' | 'queue', CheckState>>;
}

/** Whether this worker runs, and whether it can reach what it works with. */
@Controller('health')
export class HealthController {
  constructor(
    private readonly database: DataSource,
    @Inject(INGEST_PRODUCER) private readonly queue: JobProducer<IngestJob>,
  ) {}

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
    const [database, queue] = await Promise.all([
      stateOf(this.database.query('SELECT 1').then(() => true)),
      stateOf(this.queue.ready()),
    ]);
    const ready = database === 'up' && queue === 'up';
    if (!ready) void reply.status(503).header('retry-after', '1');
    return { status: ready ? 'ready' : 'not_ready', checks: { database, queue } };
  }
}

/** `down` also when the check takes too long. */
async function stateOf(check: Promise<boolean>): Promise<CheckState> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), CHECK_TIMEOUT_MS);
  });
  const up = await Promise.race([check.catch(() => false), late]);
  clearTimeout(timer);
  return up ? 'up' : 'down';
}
