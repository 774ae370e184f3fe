import { Inject, Injectable } from '@nestjs/common';
import type { Batch } from '#batches/batch.entity.js';
import { type BatchLine, duplicate, isFault, readBatchLine } from '#batches/batch-line.js';
import { FilesService } from '#batches/files/files.service.js';
import { jsonlLines } from '#batches/jsonl-lines.js';
import type { BatchError } from '#contracts/openai/batches.js';
import { jsonLimits } from '#runtime/edge/json-scanner.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { workerSettings } from '../settings.js';
import { WORKER_SETTINGS } from '../worker-tokens.js';

/** OpenAI's limits of one batch. */
const MOST_LINES = 50_000;
/** Errors of a file that are told: more help nobody. */
const MOST_ERRORS = 100;

export type Verdict =
  | { readonly errors: readonly BatchError[] }
  | { readonly errors: undefined; readonly total: number; readonly model: string | null };

/** Reads the lines of batches' input files. */
@Injectable()
export class InputLines {
  constructor(
    private readonly files: FilesService,
    @Inject(WORKER_SETTINGS) private readonly settings: SettingsOf<typeof workerSettings>,
  ) {}

  /** What is wrong with the file, or what it holds. */
  async check(batch: Batch, signal: AbortSignal): Promise<Verdict> {
    const errors: BatchError[] = [];
    const ids = new Set<string>();
    const models = new Set<string | undefined>();
    let total = 0;
    for await (const line of this.#read(batch)) {
      signal.throwIfAborted();
      total += 1;
      if (total > MOST_LINES) return { errors: [tooMany(line)] };
      if (isFault(line)) errors.push(line);
      else if (ids.has(line.customId)) errors.push(duplicate(line.number, line.customId));
      else {
        ids.add(line.customId);
        models.add(line.model);
      }
      if (errors.length >= MOST_ERRORS) return { errors };
    }
    if (errors.length > 0) return { errors };
    if (total === 0) return { errors: [EMPTY] };
    const [model = null] = models.size === 1 ? models : [];
    return { errors: undefined, total, model };
  }

  /** Of a file that was found sound. */
  async *of(batch: Batch): AsyncGenerator<BatchLine> {
    for await (const line of this.#read(batch)) {
      if (isFault(line)) throw new Error(`line ${line.line} was sound before`);
      yield line;
    }
  }

  async *#read({ tenantId, inputFileId, endpoint }: Batch): AsyncGenerator<BatchLine | BatchError> {
    const file = await this.files.byId(tenantId, inputFileId);
    if (!file) {
      yield {
        code: 'file_not_found',
        message: 'The input file is gone.',
        param: 'input_file_id',
        line: null,
      };
      return;
    }
    const { jsonLimitBytes } = this.settings;
    const limits = jsonLimits(jsonLimitBytes);
    const source = await this.files.open(file);
    try {
      for await (const line of jsonlLines(source, jsonLimitBytes))
        yield readBatchLine(line, { endpoint, limits });
    } finally {
      source.destroy();
    }
  }
}

const EMPTY: BatchError = {
  code: 'empty_file',
  message: 'The input file is empty: it needs at least one request.',
  param: null,
  line: null,
};

function tooMany(line: BatchLine | BatchError): BatchError {
  const message = `The input file has more than ${MOST_LINES} lines.`;
  return { code: 'too_many_lines', message, param: null, line: isFault(line) ? line.line : line.number };
}
