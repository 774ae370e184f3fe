import OpenAI, { ConflictError, NotFoundError, toFile } from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import type { BatchList } from '#contracts/openai/batches.js';
import { goldenFiles } from '../support/adapter-form.js';
import { formOf } from '../support/adapter-form.js';
import {
  batchOf,
  chatLine,
  ended,
  fileForm,
  jsonl,
  type Line,
  linesOf,
  startBatch,
  uploadFile,
} from '../support/batches.js';
import type { Client, VersionBody } from '../support/client.js';
import { answer, answerText, answerWith } from '../support/fake-answers.js';
import type { FakeGeneration } from '../support/fake-engine.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
});
afterEach(() => {
  platform.engine.requests.splice(0);
});
afterAll(() => platform?.close());

const byId = (lines: readonly Line[]) => new Map(lines.map((line) => [line.custom_id, line]));
const ids = (count: number) => Array.from({ length: count }, (_, index) => `line-${index}`);

/** What the line says, by which tests tell lines apart. */
const saying = ({ input }: GenerateRequest) => (input.kind === 'chat' ? input.conversation : '');

/** Answers lines with one token, and leaves those open whose text says so until `release`. */
function holding(isHeld: (said: string) => boolean) {
  const held: FakeGeneration[] = [];
  let isOpen = false;
  platform.engine.script = (generation) => {
    if (isOpen || !isHeld(saying(generation.request))) answer(generation, [1]);
    else held.push(generation);
  };
  return {
    held,
    release: () => {
      isOpen = true;
      for (const generation of held.splice(0)) answer(generation, [1]);
    },
  };
}

describe('a batch', () => {
  it('answers each line once, in an output file and an error file', async () => {
    platform.engine.script = answerText('Hello');
    const lines = [
      chatLine('good', { max_tokens: 5 }),
      chatLine('unknown-model', { model: 'nobody' }),
      chatLine('bad', { temperature: 'hot' }),
      chatLine('streamed', { stream: true }),
      chatLine('also good'),
    ];
    const metadata = { run: '7' };
    const made = await startBatch(acme, lines, { metadata });
    expect(made).toMatchObject({
      id: expect.stringMatching(/^batch_[0-9a-f]{32}$/) as string,
      object: 'batch',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      status: 'validating',
      expires_at: made.created_at + 86_400,
      output_file_id: null,
      errors: null,
      metadata,
    });
    const batch = await ended(acme, made.id);
    expect(batch).toMatchObject({
      status: 'completed',
      model: null,
      request_counts: { total: 5, completed: 2, failed: 3 },
      usage: {
        input_tokens: 4,
        input_tokens_details: { cached_tokens: 2 },
        output_tokens: 6,
        total_tokens: 10,
      },
    });
    for (const time of ['in_progress_at', 'finalizing_at', 'completed_at'] as const)
      expect(batch[time]).toBeGreaterThanOrEqual(batch.created_at);
    const output = await linesOf(acme, batch.output_file_id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(['good', 'also good']);
    expect(output[0]).toMatchObject({
      id: expect.stringMatching(/^batch_req_/) as string,
      error: null,
      response: {
        status_code: 200,
        body: { object: 'chat.completion', choices: [{ message: { content: 'Hello' } }] },
      },
    });
    const errors = byId(await linesOf(acme, batch.error_file_id));
    expect([...errors.keys()]).toEqual(['unknown-model', 'bad', 'streamed']);
    const faultOf = (id: string) => {
      const { status_code, body } = errors.get(id)?.response ?? {};
      return [status_code, body?.error?.code, body?.error?.param];
    };
    expect(faultOf('unknown-model')).toEqual([404, 'model_not_found', 'model']);
    expect(faultOf('bad')).toEqual([400, 'invalid_request', 'temperature']);
    expect(faultOf('streamed')).toEqual([400, 'invalid_request', 'stream']);
    const file = await acme.expect(200, 'GET', `/v1/files/${batch.output_file_id}`);
    expect(file).toMatchObject({ purpose: 'batch_output', filename: `${batch.id}_output.jsonl` });
    const events = await platform.query("SELECT payload FROM outbox_events WHERE type = 'batch.completed'");
    expect(events).toEqual([{ payload: batch }]);
  });

  it.each([
    ['/v1/completions', { model: 'llama-gqa', prompt: 'x' }, { object: 'text_completion' }],
    ['/v1/responses', { model: 'llama-gqa', input: 'x' }, { object: 'response', status: 'completed' }],
  ] as const)('of %s has the answers of that endpoint', async (url, body, shape) => {
    platform.engine.script = answerText('Hello');
    const line = { custom_id: 'a', method: 'POST', url, body };
    const { id } = await startBatch(acme, [line], { endpoint: url });
    const { output_file_id, model } = await ended(acme, id);
    const [answered] = await linesOf(acme, output_file_id);
    expect([model, answered?.response?.body]).toMatchObject(['llama-gqa', shape]);
    if (url === '/v1/responses')
      await acme.expect(200, 'GET', `/v1/responses/${String(answered?.response?.body.id)}`);
  });

  it('of /v1/embeddings has vectors', async () => {
    const values = Buffer.from(Float32Array.of(0.6, 0.8).buffer).toString('base64');
    platform.engine.script = (generation) => {
      generation.send({ type: 'start', promptTokens: 1 }, { type: 'embedding', values, normalized: true });
      answer(generation, []);
    };
    const url = '/v1/embeddings';
    const line = { custom_id: 'a', method: 'POST', url, body: { model: 'llama-gqa', input: 'x' } };
    const { id } = await startBatch(acme, [line], { endpoint: url });
    const [answered] = await linesOf(acme, (await ended(acme, id)).output_file_id);
    const embedding = [expect.closeTo(0.6, 6), expect.closeTo(0.8, 6)] as unknown[];
    expect(answered?.response?.body).toMatchObject({ object: 'list', data: [{ index: 0, embedding }] });
  });

  it('fails as a whole where a line is unsound, and tells each such line by its number', async () => {
    const text = [
      JSON.stringify(chatLine('a')),
      '{"custom_id": "broken',
      '',
      JSON.stringify(chatLine('a')),
      JSON.stringify(chatLine('b', {}, { method: 'GET' })),
      JSON.stringify(chatLine('c', {}, { url: '/v1/embeddings' })),
      JSON.stringify(chatLine('d', {}, { body: 'x' })),
      JSON.stringify(chatLine('', {})),
      JSON.stringify({ ...chatLine('e'), custom_id: undefined }),
      '[]',
    ].join('\n');
    const { id: input_file_id } = await uploadFile(acme, text);
    const { id } = await acme.expect<{ id: string }>(200, 'POST', '/v1/batches', {
      input_file_id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    const batch = await ended(acme, id);
    expect(batch).toMatchObject({ status: 'failed', output_file_id: null, error_file_id: null });
    expect(batch.failed_at).toBeGreaterThanOrEqual(batch.created_at);
    expect(batch.errors?.data.map(({ line, code, param }) => [line, code, param])).toEqual([
      [2, 'invalid_json_line', null],
      [4, 'duplicate_custom_id', 'custom_id'],
      [5, 'invalid_method', 'method'],
      [6, 'invalid_url', 'url'],
      [7, 'invalid_body', 'body'],
      [8, 'invalid_custom_id', 'custom_id'],
      [9, 'missing_required_parameter', 'custom_id'],
      [10, 'invalid_request', null],
    ]);
    expect(platform.engine.requests).toEqual([]);
    const blank = await uploadFile(acme, '\n \n');
    const body = { input_file_id: blank.id, endpoint: '/v1/chat/completions', completion_window: '24h' };
    const empty = await acme.expect<{ id: string }>(200, 'POST', '/v1/batches', body);
    expect((await ended(acme, empty.id)).errors?.data).toMatchObject([{ code: 'empty_file', line: null }]);
  });

  it.each([
    [{ completion_window: '1h' }, 400, 'completion_window'],
    [{ endpoint: '/v1/images/generations' }, 400, 'endpoint'],
    [{ input_file_id: 'file-nothing' }, 404, 'input_file_id'],
    [{ priority: 1 }, 400, 'priority'],
    [{ metadata: { key: 7 } }, 400, 'metadata.key'],
  ] as const)('with %o is refused', async (change, status, param) => {
    const { id: input_file_id } = await uploadFile(acme, jsonl([chatLine('a')]));
    const body = { input_file_id, endpoint: '/v1/chat/completions', completion_window: '24h', ...change };
    const refused = await acme.call('POST', '/v1/batches', body);
    expect(refused).toMatchObject({ status, body: { error: { param } } });
  });

  it('is listed by pages, newest first, and only to its tenant', async () => {
    const [mine, other] = [await platform.tenant('lister'), await platform.tenant('other')];
    platform.engine.script = answerWith([1]);
    const made: string[] = [];
    for (const id of ids(3)) made.push((await startBatch(mine, [chatLine(id)])).id);
    const page = await mine.expect<BatchList>(200, 'GET', '/v1/batches?limit=2');
    expect([page.data.map(({ id }) => id), page.has_more]).toEqual([made.toReversed().slice(0, 2), true]);
    const rest = await mine.expect<BatchList>(200, 'GET', `/v1/batches?limit=2&after=${page.last_id}`);
    expect([rest.data.map(({ id }) => id), rest.has_more]).toEqual([made.slice(0, 1), false]);
    expect((await other.expect<BatchList>(200, 'GET', '/v1/batches')).data).toEqual([]);
    for (const id of made) await ended(mine, id);
  });

  it('that is cancelled keeps what was done, and lists the lines that were not', async () => {
    const { held } = holding((said) => !said.includes('line-0'));
    const { id } = await startBatch(
      acme,
      ids(20).map((each) => chatLine(each)),
    );
    await expect.poll(async () => (await batchOf(acme, id)).request_counts.completed).toBe(1);
    await expect.poll(() => held.length).toBe(8); // BATCH_CONCURRENCY
    const cancelling = await acme.expect(200, 'POST', `/v1/batches/${id}/cancel`);
    expect(cancelling).toMatchObject({ status: expect.stringMatching(/^cancel/) as string });
    const batch = await ended(acme, id);
    expect(batch).toMatchObject({
      status: 'cancelled',
      request_counts: { total: 20, completed: 1, failed: 0 },
      cancelled_at: expect.any(Number) as number,
    });
    await Promise.all(held.map(({ abandoned }) => abandoned)); // nothing is computed for nobody
    expect((await linesOf(acme, batch.output_file_id)).map(({ custom_id }) => custom_id)).toEqual(['line-0']);
    const errors = await linesOf(acme, batch.error_file_id);
    expect(errors.map(({ custom_id }) => custom_id)).toEqual(ids(20).slice(1));
    expect(errors[0]).toMatchObject({ response: null, error: { code: 'batch_cancelled' } });
    expect(await acme.call('POST', `/v1/batches/${id}/cancel`)).toMatchObject({
      status: 409,
      body: { error: { code: 'conflict' } },
    });
  });

  it('goes on with its next worker where the last one stopped, and expires when its time is over', async () => {
    holding((said) => !said.includes('line-0'));
    const { id } = await startBatch(
      acme,
      ids(3).map((each) => chatLine(each)),
    );
    await expect.poll(async () => (await batchOf(acme, id)).request_counts.completed).toBe(1);
    await platform.stopWorkers();
    await platform.query(
      "UPDATE batches SET expires_at = now() - interval '1 second' WHERE due_at IS NOT NULL",
    );
    platform.engine.requests.splice(0);
    await platform.startWorker();
    const batch = await ended(acme, id);
    expect(batch).toMatchObject({
      status: 'expired',
      request_counts: { total: 3, completed: 1, failed: 0 },
      expired_at: expect.any(Number) as number,
    });
    expect((await linesOf(acme, batch.output_file_id)).map(({ custom_id }) => custom_id)).toEqual(['line-0']);
    const errors = await linesOf(acme, batch.error_file_id);
    expect(errors.map(({ custom_id, error }) => [custom_id, error?.code])).toEqual([
      ['line-1', 'batch_expired'],
      ['line-2', 'batch_expired'],
    ]);
    expect(platform.engine.requests.map(saying).filter((said) => said.includes('line-0'))).toEqual([]);
  });

  it('waits out faults of engines and asks the line again', async () => {
    let asked = 0;
    platform.engine.script = (generation) => {
      asked += 1;
      if (asked === 1) generation.cut();
      else if (asked === 2) generation.refuse('overloaded', 'full');
      else if (asked === 3) generation.refuse('internal_error', 'broken');
      else answer(generation, [1]);
    };
    const { id } = await startBatch(acme, [chatLine('a')]);
    expect(await ended(acme, id)).toMatchObject({
      status: 'completed',
      request_counts: { total: 1, completed: 1, failed: 0 },
    });
  });

  it('gives a line up that an engine fails on each time', async () => {
    platform.engine.script = (generation) =>
      saying(generation.request).includes('poison')
        ? generation.refuse('internal_error', 'broken')
        : answer(generation, [1]);
    const { id } = await startBatch(acme, [chatLine('poison'), chatLine('fine')]);
    const batch = await ended(acme, id);
    expect(batch.request_counts).toEqual({ total: 2, completed: 1, failed: 1 });
    const [line] = await linesOf(acme, batch.error_file_id);
    expect(line?.response).toMatchObject({ status_code: 500, body: { error: { code: 'internal_error' } } });
  });

  it("keeps to its tenant's limits without failing", async () => {
    const client = await platform.tenant('limited');
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/limited', {
      quotas: { concurrent_requests: 1 },
    });
    let [running, most] = [0, 0];
    platform.engine.script = async (generation) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      answer(generation, [1]);
    };
    const { id } = await startBatch(
      client,
      ids(5).map((each) => chatLine(each)),
    );
    const batch = await ended(client, id);
    expect(batch.request_counts).toEqual({ total: 5, completed: 5, failed: 0 });
    expect(most).toBe(1);
  });

  it('waits while its tenant is suspended', async () => {
    const client = await platform.tenant('paused');
    const { held, release } = holding(() => true);
    const { id } = await startBatch(
      client,
      ids(9).map((each) => chatLine(each)),
    );
    await expect.poll(() => held.length).toBe(8);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/paused', { state: 'suspended' });
    release();
    const counts = async () => {
      const [row] = await platform.query<{ completed: number }>(
        'SELECT completed FROM batches WHERE tenant_id = (SELECT id FROM tenants WHERE name = $1)',
        ['paused'],
      );
      return row?.completed;
    };
    await expect.poll(counts).toBe(8);
    expect(platform.engine.requests).toHaveLength(8);
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/paused', { state: 'active' });
    expect((await ended(client, id)).request_counts).toEqual({ total: 9, completed: 9, failed: 0 });
  });

  it('comes behind every other request, and is metered to the tenant and key that made it', async () => {
    const client = await platform.tenant('metered');
    platform.engine.script = answerWith([1, 2, 3]);
    const { id } = await startBatch(client, [chatLine('a', { priority: -5 })]);
    await ended(client, id);
    const { id: tenantId } = await platform.admin.expect<{ id: string }>(
      200,
      'GET',
      '/v1/admin/tenants/metered',
    );
    const [asked] = platform.engine.requests;
    expect(asked).toMatchObject({
      cacheSalt: tenantId,
      fairnessKey: `${tenantId} background`,
      fairnessWeight: 0.001,
      priority: 999_995,
    });
    interface Usage {
      readonly data: readonly { readonly completion_tokens: number; readonly requests: number }[];
    }
    const usage = async () =>
      (await platform.admin.expect<Usage>(200, 'GET', '/v1/admin/usage?tenant=metered')).data;
    await expect.poll(usage).toMatchObject([{ requests: 1, completion_tokens: 3 }]);
  });

  it("resolves aliases under its tenant's rights", async () => {
    const [client, other] = [await platform.tenant('owner'), await platform.tenant('stranger')];
    platform.engine.script = answerWith([1]);
    const form = formOf(Object.entries(goldenFiles('qv-r8')));
    const version = await client.expect<VersionBody>(
      201,
      'POST',
      '/v1/adapters/bot/versions?create=true&wait=60',
      form,
    );
    await client.expect(200, 'PUT', '/v1/adapters/bot/aliases/live', { routes: [{ version: 1 }] });
    const line = chatLine('a', { model: 'bot:live' });
    expect((await ended(client, (await startBatch(client, [line])).id)).request_counts.completed).toBe(1);
    expect(platform.engine.requests.at(-1)?.adapter).toBe(version.digest);
    const strangers = await ended(other, (await startBatch(other, [line])).id);
    const [refused] = await linesOf(other, strangers.error_file_id);
    expect(refused?.response).toMatchObject({
      status_code: 404,
      body: { error: { code: 'model_not_found' } },
    });
  });

  it('is made once for an Idempotency-Key, and leaves entries in the audit log', async () => {
    platform.engine.script = answerWith([1]);
    const { id: input_file_id } = await uploadFile(acme, jsonl([chatLine('a')]));
    const body = { input_file_id, endpoint: '/v1/chat/completions', completion_window: '24h' };
    const post = async () => {
      const response = await fetch(`${acme.url}/v1/batches`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${acme.key}`,
          'content-type': 'application/json',
          'idempotency-key': 'once',
        },
        body: JSON.stringify(body),
      });
      return {
        replayed: response.headers.get('idempotent-replayed'),
        body: (await response.json()) as { id: string },
      };
    };
    const first = await post();
    const again = await post();
    expect([again.replayed, again.body]).toEqual(['true', first.body]);
    await ended(acme, first.body.id);
    const audit = await platform.admin.expect<{ data: { action: string }[] }>(
      200,
      'GET',
      `/v1/admin/audit?subject=${first.body.id}`,
    );
    expect(audit.data.map(({ action }) => action)).toEqual(['batch.create']);
  });

  it('holds its input file until its end', async () => {
    const { held, release } = holding(() => true);
    const { id, input_file_id } = await startBatch(acme, [chatLine('a')]);
    await expect.poll(() => held.length).toBe(1);
    expect(await acme.call('DELETE', `/v1/files/${input_file_id}`)).toMatchObject({
      status: 409,
      body: { error: { code: 'conflict' } },
    });
    release();
    await ended(acme, id);
    await acme.expect(200, 'DELETE', `/v1/files/${input_file_id}`);
    await acme.expect(200, 'GET', `/v1/batches/${id}`);
  });

  it('makes files that expire when its owner said', async () => {
    platform.engine.script = answerWith([1]);
    const output_expires_after = { anchor: 'created_at', seconds: 7_200 };
    const { id } = await startBatch(acme, [chatLine('a')], { output_expires_after });
    const { output_file_id } = await ended(acme, id);
    const file = await acme.expect<{ created_at: number; expires_at: number }>(
      200,
      'GET',
      `/v1/files/${output_file_id}`,
    );
    expect(file.expires_at - file.created_at).toBe(7_200);
  });

  it("goes through OpenAI's client: files, batches, their pages, and errors", async () => {
    platform.engine.script = answerText('Hello');
    const { url, key: apiKey } = await platform.tenant('openai');
    const openai = new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 });
    const made: OpenAI.FileObject[] = [];
    for (const name of ['a', 'b', 'c']) {
      const file = await toFile(Buffer.from(jsonl([chatLine(name)])), `${name}.jsonl`);
      const expires_after = { anchor: 'created_at' as const, seconds: 3_600 };
      made.push(await openai.files.create({ file, purpose: 'batch', expires_after }));
    }
    const listed: string[] = [];
    for await (const { filename } of openai.files.list({ limit: 2, order: 'asc' })) listed.push(filename);
    expect(listed).toEqual(['a.jsonl', 'b.jsonl', 'c.jsonl']);
    const [first] = made;
    expect(await openai.files.retrieve(first?.id ?? '')).toEqual(first);
    const endpoint = '/v1/chat/completions' as const;
    let batch: OpenAI.Batch = await openai.batches.create({
      input_file_id: first?.id ?? '',
      endpoint,
      completion_window: '24h',
      metadata: { run: '1' },
    });
    await expect.poll(async () => (batch = await openai.batches.retrieve(batch.id)).status).toBe('completed');
    expect(batch.request_counts).toEqual({ total: 1, completed: 1, failed: 0 });
    const content = await (await openai.files.content(batch.output_file_id ?? '')).text();
    const line = JSON.parse(content) as { response: { body: OpenAI.ChatCompletion } };
    expect(line.response.body.choices[0]?.message.content).toBe('Hello');
    const batches: string[] = [];
    for await (const { id } of openai.batches.list({ limit: 1 })) batches.push(id);
    expect(batches).toEqual([batch.id]);
    await expect(openai.batches.cancel(batch.id)).rejects.toThrow(ConflictError);
    expect(await openai.files.delete(first?.id ?? '')).toMatchObject({ deleted: true });
    await expect(openai.files.retrieve(first?.id ?? '')).rejects.toThrow(NotFoundError);
  });

  it('works for an operator who acts for a tenant', async () => {
    platform.engine.script = answerWith([1]);
    const form = fileForm(jsonl([chatLine('a')]));
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'x-tenant': 'acme' };
    const file = await fetch(`${platform.url}/v1/files`, { method: 'POST', headers, body: form });
    const { id: input_file_id } = (await file.json()) as { id: string };
    const body = { input_file_id, endpoint: '/v1/chat/completions', completion_window: '24h' };
    const made = await fetch(`${platform.url}/v1/batches`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const { id } = (await made.json()) as { id: string };
    expect((await ended(acme, id)).request_counts.completed).toBe(1);
  });
});
