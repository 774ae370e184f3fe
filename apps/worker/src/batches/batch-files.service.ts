import { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import type { Batch } from '#batches/batch.entity.js';
import { publicBatchId } from '#batches/batch-resource.js';
import { BatchStates, type BatchEnd, type BatchLease } from '#batches/batch-states.service.js';
import { FilesService, type MadeFile } from '#batches/files/files.service.js';
import { newId, publicId } from '#stores/ids.js';
import { InputLines } from './input-lines.service.js';

/** Why lines have no answer, as OpenAI says it. */
const UNASKED = {
  expired: {
    code: 'batch_expired',
    message: 'This request could not be executed before the completion window expired.',
  },
  cancelled: {
    code: 'batch_cancelled',
    message: 'This request was not executed before the batch was cancelled.',
  },
} as const;

/** Writes what became of a batch's lines to its output and error file, and ends the batch. */
@Injectable()
export class BatchFiles {
  constructor(
    private readonly states: BatchStates,
    private readonly files: FilesService,
    private readonly lines: InputLines,
  ) {}

  async end(batch: Batch, lease: BatchLease, signal: AbortSignal): Promise<BatchEnd['status']> {
    const done = await this.states.doneLines(batch.id);
    const isWhole = done.size === batch.total;
    const status = batch.status === 'cancelling' ? 'cancelled' : isWhole ? 'completed' : 'expired';
    const unasked = status === 'completed' || isWhole ? none() : this.#unasked(batch, done, UNASKED[status]);
    const output = await this.#write(batch, 'output', this.states.results(batch.id, false), signal);
    const failed = chained(this.states.results(batch.id, true), unasked);
    const errors = await this.#write(batch, 'error', failed, signal);
    await this.states.finish(lease, { status, at: new Date(), output, errors });
    return status;
  }

  /** Undefined: there is no line. */
  async #write(
    { id, tenantId, outputExpiresAfter_s }: Batch,
    kind: 'output' | 'error',
    lines: AsyncGenerator<string>,
    signal: AbortSignal,
  ): Promise<MadeFile | undefined> {
    const first = await lines.next();
    if (first.done) return undefined;
    async function* bytes() {
      yield Buffer.from(`${first.value as string}\n`);
      for await (const line of lines) yield Buffer.from(`${line}\n`);
    }
    const blob = await this.files.put(Readable.from(bytes(), { objectMode: false }), signal);
    const filename = `${publicBatchId(id)}_${kind}.jsonl`;
    return { tenantId, filename, blob, expiresAfter_s: outputExpiresAfter_s };
  }

  async *#unasked(batch: Batch, done: ReadonlySet<number>, error: object): AsyncGenerator<string> {
    for await (const { number, customId } of this.lines.of(batch)) {
      if (done.has(number)) continue;
      const id = publicId('batch_req_', newId());
      yield JSON.stringify({ id, custom_id: customId, response: null, error });
    }
  }
}

async function* none(): AsyncGenerator<never> {}

async function* chained(...parts: readonly AsyncGenerator<string>[]): AsyncGenerator<string> {
  for (const part of parts) yield* part;
}
