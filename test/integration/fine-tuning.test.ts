import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { goldenFiles } from '../support/adapter-form.js';
import { ArtifactServer } from '../support/artifact-server.js';
import { Client } from '../support/client.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import { postSigned, type Received, Receiver, until } from '../support/webhooks.js';

const MODEL = 'llama-gqa';

let platform: Platform;
let acme: Client;
let globex: Client;
let openai: OpenAI;
let storage: ArtifactServer;
let receiver: Receiver;
let trainer: Trainer;
let artifact: { url: string };

interface Trainer {
  readonly id: string;
  readonly secret: string;
  readonly report_url: string;
}
interface Order {
  readonly type: string;
  readonly data: { readonly job_id: string; readonly report_url: string; readonly adapter: string };
}

beforeAll(async () => {
  platform = await Platform.start({
    env: { ALLOW_PRIVATE_IMPORTS: 'true', WEBHOOK_RETRY_SCHEDULE: '0,0.1' },
  });
  [storage, receiver] = [await ArtifactServer.start(), await Receiver.start()];
  artifact = { url: storage.put('good', goldenFiles('qv-r8')) };
  [acme, globex] = [await platform.tenant('acme'), await platform.tenant('globex')];
  openai = new OpenAI({ apiKey: acme.key, baseURL: `${platform.url}/v1`, maxRetries: 0 });
  trainer = await acme.expect<Trainer>(201, 'POST', '/v1/trainers', { name: 'gpu-box', url: receiver.url });
});
afterAll(async () => {
  await storage?.close();
  await receiver?.close();
  await platform?.close();
});

const verified = (secret: string, { headers, body }: Received) =>
  new Webhook(secret).verify(body, headers as Record<string, string>) as Order;
/** What the trainer was told of that job, its signature checked. */
async function toldOf(jobId: string, type = 'fine_tuning.job.created'): Promise<Order> {
  const find = () => receiver.received.map((each) => verified(trainer.secret, each));
  const orders = await until(
    async () => find(),
    (all) => all.some((o) => o.type === type && o.data.job_id === jobId),
  );
  return orders.find((order) => order.type === type && order.data.job_id === jobId) as Order;
}
const report = (type: string, data: object, options = {}) =>
  postSigned(trainer.report_url, trainer.secret, { type: `fine_tuning.job.${type}`, data }, options);
const newJob = (more: object = {}) =>
  openai.fineTuning.jobs.create({ model: MODEL, training_file: 'file-abc', suffix: 'support-bot', ...more });

describe('a fine-tuning job', () => {
  it('goes to the trainer, is followed by its reports, and ends as a version that can be called', async () => {
    const job = await newJob({ hyperparameters: { n_epochs: 3 }, metadata: { team: 'support' } });
    expect(job).toMatchObject({ object: 'fine_tuning.job', status: 'queued', fine_tuned_model: null });
    expect(job.id).toMatch(/^ftjob-/);
    const order = await toldOf(job.id);
    expect(order.data).toMatchObject({
      model: MODEL,
      adapter: 'support-bot',
      training_file: 'file-abc',
      hyperparameters: { n_epochs: 3 },
      report_url: trainer.report_url,
    });

    const running = { job_id: job.id, progress: 0.5, metrics: { train_loss: 1.25 } };
    expect((await report('running', running)).status).toBe(202);
    expect(await openai.fineTuning.jobs.retrieve(job.id)).toMatchObject({ status: 'running', progress: 0.5 });
    await report('succeeded', {
      job_id: job.id,
      artifact,
      metrics: { eval_loss: 0.5 },
      trained_tokens: 1234,
    });
    const done = await until(
      () => openai.fineTuning.jobs.retrieve(job.id),
      ({ status }) => status === 'succeeded' || status === 'failed',
    );
    expect(done).toMatchObject({
      status: 'succeeded',
      fine_tuned_model: 'support-bot@1',
      trained_tokens: 1234,
    });
    expect(done.finished_at).toBeGreaterThanOrEqual(done.created_at);
    expect(await acme.expect(200, 'GET', '/v1/adapters/support-bot/versions/1')).toMatchObject({
      state: 'ready',
      training_job: job.id,
      metrics: { eval_loss: 0.5 },
    });

    const events = await openai.fineTuning.jobs.listEvents(job.id);
    expect(events.data.map(({ message, type }) => [message, type])).toEqual([
      ['support-bot@1 is ready', 'message'],
      ['Training is done; the adapter is being imported', 'message'],
      ['Training (50 %)', 'metrics'],
      ['Handed to the trainer gpu-box', 'message'],
    ]);
  });

  it('is listed page by page, newest first', async () => {
    const made = [await newJob(), await newJob(), await newJob()].map(({ id }) => id);
    const listed: string[] = [];
    for await (const { id } of openai.fineTuning.jobs.list({ limit: 2 })) listed.push(id);
    expect(listed.slice(0, 3)).toEqual(made.toReversed());
    for (const id of made) await openai.fineTuning.jobs.cancel(id);
  });

  it('is cancelled at once, the trainer is told, and what it reports later changes nothing', async () => {
    const job = await newJob();
    expect(await openai.fineTuning.jobs.cancel(job.id)).toMatchObject({ status: 'cancelled' });
    expect((await toldOf(job.id, 'fine_tuning.job.cancelled')).data.job_id).toBe(job.id);
    const late = await report('succeeded', { job_id: job.id, artifact });
    expect(late).toMatchObject({
      status: 202,
      body: { state: 'ignored', reason: 'The job is cancelled already.' },
    });
    await expect(openai.fineTuning.jobs.cancel(job.id)).rejects.toMatchObject({ status: 409 });
    expect(await openai.fineTuning.jobs.retrieve(job.id)).toMatchObject({ status: 'cancelled' });
  });

  it('fails as its trainer says, or with the report of an adapter that cannot be served', async () => {
    const job = await newJob();
    await report('failed', { job_id: job.id, error: { code: 'bad_data', message: 'line 3 is no JSON' } });
    expect(await openai.fineTuning.jobs.retrieve(job.id)).toMatchObject({
      status: 'failed',
      error: { code: 'bad_data', message: 'line 3 is no JSON' },
    });
    const other = await newJob();
    await report('succeeded', { job_id: other.id, artifact: { url: `${storage.url}/nowhere/` } });
    const failed = await until(
      () => openai.fineTuning.jobs.retrieve(other.id),
      ({ status }) => status === 'failed',
    );
    expect(failed.error).toMatchObject({ code: 'adapter_rejected' });
  });

  it('takes one artifact: a second announcement under another id is ignored', async () => {
    const job = await newJob({ suffix: 'single' });
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => report('succeeded', { job_id: job.id, artifact })),
    );
    expect(answers.map(({ body }) => body.state).toSorted()).toEqual([
      'accepted',
      ...Array(4).fill('ignored'),
    ]);
    await until(
      () => openai.fineTuning.jobs.retrieve(job.id),
      ({ status }) => status === 'succeeded',
    );
    const { data } = await acme.expect<{ data: unknown[] }>(200, 'GET', '/v1/adapters/single/versions');
    expect(data).toHaveLength(1);
  });

  it('fails when its trainer cannot be reached', async () => {
    const away = await acme.expect<Trainer>(201, 'POST', '/v1/trainers', {
      name: 'away',
      url: 'http://127.0.0.1:9/',
    });
    const job = await newJob({ trainer: 'away' });
    const failed = await until(
      () => openai.fineTuning.jobs.retrieve(job.id),
      ({ status }) => status === 'failed',
    );
    expect(failed.error).toMatchObject({ code: 'trainer_unreachable' });
    await acme.expect(200, 'DELETE', `/v1/trainers/${away.id}`);
  });

  it('tells webhook endpoints how it ended, as the OpenAI client verifies it', async () => {
    const endpoint = await acme.expect<{ id: string; secret: string }>(201, 'POST', '/v1/webhook-endpoints', {
      url: `${receiver.url}/events`,
      events: ['fine_tuning.job.failed'],
    });
    const job = await newJob();
    await report('failed', { job_id: job.id });
    // An event of an earlier job that waited in the outbox is told too.
    const [received] = await until(
      async () => receiver.received.filter(({ path, body }) => path === '/events' && body.includes(job.id)),
      (all) => all.length > 0,
    );
    const { body, headers } = received as Received;
    const event = await openai.webhooks.unwrap(body, headers as Record<string, string>, endpoint.secret);
    expect(event).toMatchObject({ type: 'fine_tuning.job.failed', data: { id: job.id, status: 'failed' } });
    await acme.expect(200, 'DELETE', `/v1/webhook-endpoints/${endpoint.id}`);
    receiver.received.splice(0, receiver.received.length);
  });

  it.each([
    [{ model: 'gpt-4o' }, 404, 'model'],
    [{ trainer: 'nobody' }, 400, 'trainer'],
    [{ suffix: MODEL }, 409, 'suffix'],
    [{ suffix: 'a b' }, 400, 'suffix'],
    [{ training_file: '' }, 400, 'training_file'],
    [{ hyperparams: {} }, 400, 'hyperparams'],
  ])('is refused with %j', async (more, status, param) => {
    await expect(newJob(more)).rejects.toMatchObject({ status, param });
  });

  it("is hidden from other tenants, and another trainer's report on it is refused", async () => {
    const job = await newJob();
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/events'],
      ['POST', '/cancel'],
    ] as const)
      expect((await globex.call(method, `/v1/fine_tuning/jobs/${job.id}${path}`)).status).toBe(404);
    const theirs = await globex.expect<Trainer>(201, 'POST', '/v1/trainers', {
      name: 'theirs',
      url: receiver.url,
    });
    const forged = await postSigned<{ error: object }>(theirs.report_url, theirs.secret, {
      type: 'fine_tuning.job.failed',
      data: { job_id: job.id },
    });
    expect(forged).toMatchObject({ status: 400, body: { error: { param: 'data.job_id' } } });
    expect(await openai.fineTuning.jobs.retrieve(job.id)).toMatchObject({ status: 'queued' });
    expect((await globex.call('GET', `/v1/trainers/${trainer.id}`)).status).toBe(404);
    expect((await acme.call('DELETE', `/v1/trainers/${trainer.id}`)).status).toBe(409);
    await openai.fineTuning.jobs.cancel(job.id);
    receiver.received.splice(0, receiver.received.length);
  });
});

describe('a shared trainer', () => {
  it('is registered by the operator, serves every tenant, and is changed by no tenant', async () => {
    const operator = new Client(platform.url, ADMIN_KEY, { 'x-tenant': 'globex' });
    const body = { name: 'everyones', url: receiver.url, shared: true };
    expect((await acme.call('POST', '/v1/trainers', body)).status).toBe(403);
    const shared = await operator.expect<Trainer>(201, 'POST', '/v1/trainers', body);
    expect(await acme.expect(200, 'GET', `/v1/trainers/${shared.id}`)).toMatchObject({
      shared: true,
      url: null,
    });
    expect((await acme.call('DELETE', `/v1/trainers/${shared.id}`)).status).toBe(403);
    const job = await newJob({ trainer: 'everyones', suffix: 'from-shared' });
    const message = { type: 'fine_tuning.job.succeeded', data: { job_id: job.id, artifact } };
    expect((await postSigned(shared.report_url, shared.secret, message)).status).toBe(202);
    const done = await until(
      () => openai.fineTuning.jobs.retrieve(job.id),
      ({ status }) => status === 'succeeded',
    );
    expect(done.fine_tuned_model).toBe('from-shared@1');
    await operator.expect(200, 'DELETE', `/v1/trainers/${shared.id}`);
  });
});
