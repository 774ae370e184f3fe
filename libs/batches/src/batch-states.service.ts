import { Injectable } from '@nestjs/common';
import type { BatchError, BatchStatus } from '#contracts/openai/batches.js';
import { OutboxService } from '#stores/outbox/outbox.service.js';
import { DataSource, type EntityManager } from 'typeorm';
import { Batch } from './batch.entity.js';
import { batchResource } from './batch-resource.js';
import { FilesService, type MadeFile } from './files/files.service.js';

/** The worker that has a batch; only it may write the batch's progress. */
export interface BatchLease {
  readonly id: string;
  readonly leaseId: string;
}

/** What became of one line. */
export interface LineResult {
  /** Of the input file, from 1. */
  readonly line: number;
  readonly isError: boolean;
  /** The line of the output or error file, as JSON. */
  readonly body: string;
  readonly usage: {
    readonly inputTokens: number;
    readonly cachedTokens: number;
    readonly outputTokens: number;
    readonly reasoningTokens: number;
  };
}

export interface BatchEnd {
  readonly status: 'completed' | 'expired' | 'cancelled';
  readonly at: Date;
  /** Undefined: there is nothing to write. */
  readonly output: MadeFile | undefined;
  readonly errors: MadeFile | undefined;
}

const RESULT_PAGE = 200;

/**
 * Adds the result $3 to $5 of a batch $1 under the lease $2 and counts it, once: neither twice for a line, nor for a
 * worker that has lost the batch, nor after its end.
 */
const ADD_RESULT = `
  WITH held AS (
    SELECT id FROM batches WHERE id = $1 AND lease_id = $2 AND status IN ('in_progress', 'cancelling') FOR UPDATE
  ), added AS (
    INSERT INTO batch_results (batch_id, line, is_error, body)
    SELECT held.id, $3::integer, $4::boolean, $5::text FROM held
    ON CONFLICT DO NOTHING RETURNING is_error
  )
  UPDATE batches SET
    completed = completed + (NOT added.is_error)::integer, failed = failed + added.is_error::integer,
    input_tokens = input_tokens + $6, cached_tokens = cached_tokens + $7,
    output_tokens = output_tokens + $8, reasoning_tokens = reasoning_tokens + $9
  FROM added WHERE batches.id = $1`;

/** What workers do with batches, each step by the lease that its worker has. */
@Injectable()
export class BatchStates {
  constructor(
    private readonly database: DataSource,
    private readonly files: FilesService,
    private readonly outbox: OutboxService,
  ) {}

  /** Undefined: the lease is lost. */
  async find({ id, leaseId }: BatchLease): Promise<Batch | undefined> {
    return (await this.database.getRepository(Batch).findOneBy({ id, leaseId })) ?? undefined;
  }

  async statusOf(id: string): Promise<BatchStatus | undefined> {
    return (await this.database.getRepository(Batch).findOneBy({ id }))?.status;
  }

  /** Every line is sound. */
  async begin(
    { id, leaseId }: BatchLease,
    { total, model }: { total: number; model: string | null },
  ): Promise<void> {
    await this.database.query(
      `UPDATE batches SET status = 'in_progress', in_progress_at = now(), total = $3, model = $4
       WHERE id = $1 AND lease_id = $2 AND status = 'validating'`,
      [id, leaseId, total, model],
    );
  }

  async fail(lease: BatchLease, errors: readonly BatchError[]): Promise<void> {
    await this.database.transaction(async (manager) => {
      const batch = await lockLeased(manager, lease);
      if (batch?.status !== 'validating') return;
      await this.#end(manager, batch, { status: 'failed', errors: [...errors], failedAt: new Date() });
    });
  }

  /** Lines that have a result. */
  async doneLines(id: string): Promise<Set<number>> {
    const rows = await this.database.query<{ line: number }[]>(
      'SELECT line FROM batch_results WHERE batch_id = $1',
      [id],
    );
    return new Set(rows.map(({ line }) => line));
  }

  /** Whether it was added: not where the line has a result already or the batch is somebody else's by now. */
  async add({ id, leaseId }: BatchLease, { line, isError, body, usage }: LineResult): Promise<boolean> {
    const { inputTokens, cachedTokens, outputTokens, reasoningTokens } = usage;
    const [, added] = await this.database.query<[unknown, number]>(ADD_RESULT, [
      id,
      leaseId,
      line,
      isError,
      body,
      inputTokens,
      cachedTokens,
      outputTokens,
      reasoningTokens,
    ]);
    return added === 1;
  }

  /** Nothing more is asked; what is done is written to files next. */
  async beginFinalizing({ id, leaseId }: BatchLease): Promise<void> {
    await this.database.query(
      `UPDATE batches SET status = 'finalizing', finalizing_at = now()
       WHERE id = $1 AND lease_id = $2 AND status = 'in_progress'`,
      [id, leaseId],
    );
  }

  /** The bodies of results, by line. */
  async *results(id: string, isError: boolean): AsyncGenerator<string> {
    for (let last = 0; ; ) {
      const rows = await this.database.query<{ line: number; body: string }[]>(
        `SELECT line, body FROM batch_results WHERE batch_id = $1 AND is_error = $2 AND line > $3
         ORDER BY line LIMIT ${RESULT_PAGE}`,
        [id, isError, last],
      );
      for (const { body } of rows) yield body;
      if (rows.length < RESULT_PAGE) return;
      last = rows.at(-1)?.line ?? last;
    }
  }

  /** The files become visible with the batch's end, and take the place of the rows. */
  async finish(lease: BatchLease, { status, at, output, errors }: BatchEnd): Promise<void> {
    await this.database.transaction(async (manager) => {
      const batch = await lockLeased(manager, lease);
      if (batch?.status !== 'finalizing' && batch?.status !== 'cancelling') return;
      const outputFileId = output ? await this.files.add(manager, output) : null;
      const errorFileId = errors ? await this.files.add(manager, errors) : null;
      await manager.query('DELETE FROM batch_results WHERE batch_id = $1', [batch.id]);
      await this.#end(manager, batch, { status, [`${status}At`]: at, outputFileId, errorFileId });
    });
  }

  async #end(
    manager: EntityManager,
    batch: Batch,
    change: Partial<Batch> & { status: 'completed' | 'failed' | 'expired' | 'cancelled' },
  ): Promise<void> {
    const ended = { ...batch, ...change, dueAt: null, leaseId: null };
    const { id, tenantId } = batch;
    await manager.update(Batch, { id, tenantId }, { ...change, dueAt: null, leaseId: null } as never);
    await this.outbox.add(manager, {
      tenantId,
      type: `batch.${change.status}`,
      payload: batchResource(ended),
    });
  }
}

async function lockLeased(manager: EntityManager, { id, leaseId }: BatchLease): Promise<Batch | undefined> {
  const lock = { mode: 'pessimistic_write' as const };
  return (await manager.findOne(Batch, { where: { id, leaseId }, lock })) ?? undefined;
}
