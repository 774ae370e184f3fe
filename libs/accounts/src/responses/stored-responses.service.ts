import { Inject, Injectable } from '@nestjs/common';
import type { InputItem } from '#contracts/openai/responses/items.js';
import type {
  InputItemQuery,
  InputItemResource,
  ResponseResource,
} from '#contracts/openai/responses/response.js';
import { asStorable } from '#contracts/storable.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';
import { markEffect } from '#stores/idempotency/effect-mark.js';
import { DataSource } from 'typeorm';
import { ACCOUNTS_LOGGER, RESPONSE_STORAGE } from '../settings.js';
import { unknownCursor } from '../tenants.service.js';
import { StoredResponse } from './stored-response.entity.js';

export interface NewResponse {
  readonly input: readonly InputItemResource[];
  readonly body: ResponseResource;
}

interface ChainRow {
  readonly id: string;
  readonly previous_id: string | null;
  readonly input: readonly InputItem[];
  readonly output: readonly InputItem[];
}

/** Responses that one conversation may go through. */
const MOST_CHAINED = 2_048;
/** A conversation that goes on is kept on; so often is it written down. */
const TOUCH_EVERY = "interval '1 hour'";
/** A tenant's sum is taken again once a process has added this share of what the tenant may keep. */
const LOOK_SHARE = 1 / 16;

/** Answers of /v1/responses, each its tenant's own, until they are deleted or nobody has used them for long. */
@Injectable()
export class StoredResponses {
  /** Bytes that this process has added for a tenant since it took the tenant's sum. */
  readonly #added = new Map<string, number>();

  constructor(
    private readonly database: DataSource,
    @Inject(RESPONSE_STORAGE) private readonly most_bytes: number,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  /** Keeps it. What the tenant has not used for longest makes room, a moment later. */
  async add(tenantId: string, { input, body }: NewResponse): Promise<void> {
    const id = rowId(body.id) as string;
    const { previous_response_id: previous } = body;
    const row = { id, tenantId, previousId: previous === null ? null : (rowId(previous) ?? null) };
    const kept = { input: storable(input), body: storable(body) };
    const bytes =
      Buffer.byteLength(JSON.stringify(kept.input)) + Buffer.byteLength(JSON.stringify(kept.body));
    await this.database.transaction(async (manager) => {
      await markEffect(manager, id);
      await manager.insert(StoredResponse, { ...row, ...kept, bytes });
    });
    this.#makeRoom(tenantId, bytes).catch((err: unknown) =>
      this.logger.warn({ err, tenantId }, 'old responses could not be deleted; it is tried again'),
    );
  }

  async #makeRoom(tenantId: string, added: number): Promise<void> {
    const before = this.#added.get(tenantId);
    const since = (before ?? 0) + added;
    this.#added.set(tenantId, since);
    if (before !== undefined && since < this.most_bytes * LOOK_SHARE) return;
    this.#added.set(tenantId, 0);
    await this.database.query(
      `DELETE FROM responses WHERE id IN (
         SELECT id FROM (
           SELECT id, sum(bytes) OVER (ORDER BY used_at DESC, id DESC) AS newer FROM responses WHERE tenant_id = $1
         ) AS sums WHERE newer > $2)`,
      [tenantId, this.most_bytes],
    );
  }

  async get(tenantId: string, responseId: string): Promise<ResponseResource> {
    return (await this.#find(tenantId, responseId)).body as ResponseResource;
  }

  async remove(tenantId: string, responseId: string): Promise<void> {
    const { id, previousId } = await this.#find(tenantId, responseId);
    await this.database.transaction(async (manager) => {
      await manager.delete(StoredResponse, { id, tenantId });
      await AuditLog.record(manager, {
        tenantId,
        action: 'response.delete',
        subject: { type: 'response', id: responseId },
        before: { id: responseId, object: 'response', previous_response_id: publicId(previousId) },
      });
    });
  }

  /** What was asked and answered in a conversation up to a response, oldest first. */
  async conversation(tenantId: string, responseId: string): Promise<readonly InputItem[]> {
    const rows = await this.#chain(tenantId, responseId);
    const [oldest] = rows;
    if (!oldest) throw noPrevious('There is no such response.');
    if (oldest.previous_id !== null)
      throw noPrevious(
        rows.length === MOST_CHAINED
          ? `A conversation has at most ${MOST_CHAINED} responses.`
          : `A response before ${responseId} is gone: the conversation is not whole any more.`,
      );
    await this.database.query(
      `UPDATE responses SET used_at = now() WHERE id = ANY($1::uuid[]) AND used_at < now() - ${TOUCH_EVERY}`,
      [rows.map(({ id }) => id)],
    );
    return rows.flatMap(({ input, output }) => [...input, ...output]);
  }

  async inputItems(
    tenantId: string,
    responseId: string,
    { limit, after, order }: InputItemQuery,
  ): Promise<{ readonly data: readonly InputItemResource[]; readonly has_more: boolean }> {
    const { input, previousId } = await this.#find(tenantId, responseId);
    const before = previousId === null ? [] : await this.#before(tenantId, publicId(previousId) as string);
    const items = [...before, ...(input as readonly InputItemResource[])];
    if (order === 'desc') items.reverse();
    const at = after === undefined ? -1 : items.findIndex(({ id }) => id === after);
    if (after !== undefined && at < 0) throw unknownCursor();
    const rest = items.slice(at + 1);
    return { data: rest.slice(0, limit), has_more: rest.length > limit };
  }

  /** Deletes what nobody has used since; returns how many. */
  async prune(before: Date): Promise<number> {
    const [, gone] = await this.database.query<[unknown, number]>(
      'DELETE FROM responses WHERE used_at < $1',
      [before],
    );
    return gone;
  }

  /** Those of them that are still there. */
  async #before(tenantId: string, responseId: string): Promise<InputItemResource[]> {
    const rows = await this.#chain(tenantId, responseId);
    return rows.flatMap(({ input, output }) => [...input, ...output]) as InputItemResource[];
  }

  #chain(tenantId: string, responseId: string): Promise<ChainRow[]> {
    const id = rowId(responseId);
    if (id === undefined) return Promise.resolve([]);
    return this.database.query<ChainRow[]>(
      `WITH RECURSIVE chain AS (
         SELECT id, previous_id, input, body, 1 AS place FROM responses WHERE id = $1 AND tenant_id = $2
         UNION ALL
         SELECT r.id, r.previous_id, r.input, r.body, place + 1 FROM responses r
         JOIN chain ON r.id = chain.previous_id WHERE r.tenant_id = $2 AND place < ${MOST_CHAINED})
       SELECT id, previous_id, input, body -> 'output' AS output FROM chain ORDER BY place DESC`,
      [id, tenantId],
    );
  }

  async #find(tenantId: string, responseId: string): Promise<StoredResponse> {
    const id = rowId(responseId);
    const row = id && (await this.database.getRepository(StoredResponse).findOneBy({ id, tenantId }));
    if (row) return row;
    throw new AppError('not_found', { message: 'There is no such response.' });
  }
}

function noPrevious(message: string): AppError {
  return new AppError('not_found', { message, param: 'previous_response_id' });
}

const PREFIX = 'resp_';

/** `resp_` and the 32 digits of the row's id. */
function rowId(responseId: string): string | undefined {
  const digits = /^resp_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/.exec(responseId);
  return digits ? digits.slice(1).join('-') : undefined;
}

function publicId(id: string | null): string | null {
  return id === null ? null : PREFIX + id.replaceAll('-', '');
}

/** A model may write what PostgreSQL cannot store. */
function storable<T>(value: T): T {
  const text = JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'string' ? asStorable(member) : member,
  );
  return JSON.parse(text) as T;
}
