import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AliasWithHistory } from '#contracts/adapters-api.js';
import type { PendingChange } from '#contracts/pending-changes-api.js';
import { formOf, goldenFiles } from '../support/adapter-form.js';
import { ArtifactServer } from '../support/artifact-server.js';
import { Client } from '../support/client.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';
import { postSigned, until } from '../support/webhooks.js';

let platform: Platform;
let storage: ArtifactServer;
/** Two keys of one tenant. */
let ada: Client;
let bob: Client;
beforeAll(async () => {
  platform = await Platform.start({ env: { ALLOW_PRIVATE_IMPORTS: 'true' } });
  storage = await ArtifactServer.start();
  ada = await platform.tenant('acme');
  bob = await secondKey('acme');
  for (const golden of ['qv-r8', 'rslora-r4', 'dora-r8'])
    await ada.expect(
      201,
      'POST',
      '/v1/adapters/bot/versions?create=true&wait=60',
      formOf(Object.entries(goldenFiles(golden))),
    );
});
afterAll(async () => {
  await storage?.close();
  await platform?.close();
});

async function secondKey(tenant: string): Promise<Client> {
  const { key } = await platform.admin.expect<{ key: string }>(
    201,
    'POST',
    `/v1/admin/tenants/${tenant}/keys`,
    { name: 'second', scopes: ['adapters'] },
  );
  return new Client(platform.url, key);
}

const path = (alias: string, adapter = 'bot') => `/v1/adapters/${adapter}/aliases/${alias}`;
const to = (version: number) => ({ routes: [{ version, weight: 1 }] });
const get = (alias: string) => ada.expect<AliasWithHistory>(200, 'GET', path(alias));
const ask = (client: Client, alias: string, body: object = to(2)) =>
  client.expect<PendingChange>(202, 'PUT', path(alias), body);
const decide = (client: Client, { id }: PendingChange, decision: string, reason?: string) =>
  client.call<PendingChange & { error?: { code: string; message: string } }>(
    'POST',
    `/v1/pending-changes/${id}/decision`,
    { decision, ...(reason === undefined ? {} : { reason }) },
  );
async function protect(alias: string): Promise<void> {
  await ada.expect(200, 'PUT', path(alias), to(1));
  expect(await ada.expect(200, 'PUT', `${path(alias)}/protection`, { protected: true })).toEqual({
    object: 'adapter.alias.protection',
    adapter: 'bot',
    alias,
    protected: true,
  });
}
const actions = async (subject: string) => {
  const { data } = await platform.admin.expect<{ data: { action: string; after: object }[] }>(
    200,
    'GET',
    `/v1/admin/audit?action=adapter.alias.*&subject=${encodeURIComponent(subject)}`,
  );
  return data;
};

describe('a change of a protected alias', () => {
  it('waits until another key approves it, and then is made in the name of both', async () => {
    await protect('production');
    const change = await ask(ada, 'production', { ...to(2), guard: { max_error_rate: 0.1 } });
    expect(change).toMatchObject({
      object: 'adapter.alias.pending_change',
      action: 'set',
      state: 'pending',
      routes: [{ version: 2 }],
      revision: 1,
      requested_by: { type: 'api_key' },
      decided_by: null,
    });
    expect(await get('production')).toMatchObject({ protected: true, revision: 1, routes: [{ version: 1 }] });
    const own = await decide(ada, change, 'approve');
    expect([own.status, own.body.error?.code]).toEqual([403, 'insufficient_scope']);
    const { status, body } = await decide(bob, change, 'approve', 'evaluated');
    expect([status, body]).toMatchObject([200, { state: 'approved', reason: 'evaluated' }]);
    const moved = await get('production');
    expect(moved).toMatchObject({ revision: 2, routes: [{ version: 2 }], guard: { versions: [2] } });
    expect(moved.history[0]).toMatchObject({
      key_id: change.requested_by.id,
      approved_by: body.decided_by?.id,
    });
    expect(moved.history[1]).toMatchObject({ approved_by: null });
    expect((await decide(bob, change, 'decline')).status).toBe(409);
    expect((await actions('bot:production')).map(({ action }) => action)).toEqual([
      'adapter.alias.approve',
      'adapter.alias.set',
      'adapter.alias.request',
      'adapter.alias.protect',
      'adapter.alias.set',
    ]);
    const events = await platform.query<{ type: string }>(
      "SELECT type FROM outbox_events WHERE type LIKE 'adapter.alias.%' ORDER BY id",
    );
    expect(events.map(({ type }) => type).slice(-3)).toEqual([
      'adapter.alias.change_requested',
      'adapter.alias.changed',
      'adapter.alias.change_decided',
    ]);
  });

  it('is declined with a reason, also by who asked for it', async () => {
    await protect('declined');
    const change = await ask(ada, 'declined');
    expect((await decide(bob, change, 'decline', 'not yet')).body).toMatchObject({
      state: 'declined',
      reason: 'not yet',
    });
    const own = await ask(ada, 'declined');
    expect(own.id).not.toBe(change.id);
    expect((await decide(ada, own, 'decline')).body.state).toBe('declined');
    expect((await get('declined')).revision).toBe(1);
  });

  it('is one however often it is asked for, and gives way to another of the same key', async () => {
    await protect('repeated');
    const first = await ask(ada, 'repeated');
    expect((await ask(ada, 'repeated')).id).toBe(first.id);
    const other = await ask(ada, 'repeated', to(3));
    const list = await bob.expect<{ data: PendingChange[] }>(
      200,
      'GET',
      '/v1/pending-changes?state=pending&adapter=bot',
    );
    expect(list.data.filter(({ alias }) => alias === 'repeated').map(({ id }) => id)).toEqual([other.id]);
    expect(await bob.expect(200, 'GET', `/v1/pending-changes/${first.id}`)).toMatchObject({
      state: 'superseded',
    });
    expect((await decide(bob, first, 'approve')).status).toBe(409);
  });

  it('holds only for the revision that it was asked for', async () => {
    await protect('raced');
    const mine = await ask(ada, 'raced');
    const theirs = await ask(bob, 'raced', to(3));
    expect((await decide(ada, theirs, 'approve')).status).toBe(200);
    const { status, body } = await decide(bob, mine, 'approve');
    expect([status, body.error?.code]).toEqual([412, 'precondition_failed']);
    expect(await ada.expect(200, 'GET', `/v1/pending-changes/${mine.id}`)).toMatchObject({
      state: 'outdated',
    });
    expect(await get('raced')).toMatchObject({ revision: 2, routes: [{ version: 3 }] });
  });

  it('is refused at once where it could never be made', async () => {
    await protect('strict');
    expect((await ada.call('PUT', path('strict'), to(9))).status).toBe(404);
    expect((await ada.call('POST', `${path('strict')}/rollback`)).status).toBe(409);
    expect((await ada.call('PUT', `${path('latest')}/protection`, { protected: true })).status).toBe(409);
    const none = await ada.expect<{ data: PendingChange[] }>(200, 'GET', '/v1/pending-changes?limit=1000');
    expect(none.data.filter(({ alias }) => alias === 'strict')).toEqual([]);
  });

  it('expires where nobody decides it in time, written down or not yet', async () => {
    await protect('forgotten');
    const change = await ask(ada, 'forgotten');
    const days = (Date.parse(change.expires_at ?? '') - Date.parse(change.created_at)) / 86_400_000;
    expect(days).toBe(7);
    const late = `UPDATE pending_alias_changes SET expires_at = now() - interval '1 second' WHERE id = '${change.id}'`;
    await platform.query(late);
    const listed = async (state: string) =>
      (
        await bob.expect<{ data: PendingChange[] }>(
          200,
          'GET',
          `/v1/pending-changes?state=${state}&limit=1000`,
        )
      ).data.map(({ id }) => id);
    expect(await listed('expired')).toContain(change.id);
    expect(await listed('pending')).not.toContain(change.id);
    const { status, body } = await decide(bob, change, 'approve');
    expect([status, body.error?.code]).toEqual([409, 'conflict']);
    expect(await get('forgotten')).toMatchObject({ revision: 1, routes: [{ version: 1 }] });
    expect((await actions('bot:forgotten'))[0]).toMatchObject({ action: 'adapter.alias.expire' });
    // To ask for the same again is a new change, which the worker ends when it is not decided either.
    const again = await ask(ada, 'forgotten');
    expect(again.id).not.toBe(change.id);
    await platform.query(late.replace(change.id, again.id));
    await platform.startWorker(); // which looks at once
    const shown = () => ada.expect<PendingChange>(200, 'GET', `/v1/pending-changes/${again.id}`);
    await expect.poll(async () => (await shown()).decided_at).not.toBeNull();
    expect(await shown()).toMatchObject({
      state: 'expired',
      reason: 'Nobody decided it in time.',
      decided_by: null,
    });
    const entries = await actions('bot:forgotten');
    expect(entries.filter(({ action }) => action === 'adapter.alias.expire')).toHaveLength(2);
    const events = await platform.query<{ payload: { state: string } }>(
      "SELECT payload FROM outbox_events WHERE type = 'adapter.alias.change_decided' ORDER BY id DESC LIMIT 1",
    );
    expect(events[0]?.payload.state).toBe('expired');
  });

  it("is nobody's business in another tenant", async () => {
    const stranger = await platform.tenant('globex');
    const change = await ask(ada, 'strict');
    expect((await decide(stranger, change, 'approve')).status).toBe(404);
    expect((await stranger.call('GET', `/v1/pending-changes/${change.id}`)).status).toBe(404);
    expect((await stranger.expect<{ data: object[] }>(200, 'GET', '/v1/pending-changes')).data).toEqual([]);
    expect((await decide(bob, { ...change, id: 'x' }, 'approve')).status).toBe(404);
  });
});

describe('what would go around the protection', () => {
  it('waits as well: rolling back, deleting, ending the protection, deleting the adapter', async () => {
    await ada.expect(200, 'PUT', path('whole'), to(1));
    await ada.expect(200, 'PUT', path('whole'), to(2));
    await ada.expect(200, 'PUT', `${path('whole')}/protection`, { protected: true });
    const back = await ada.expect<PendingChange>(202, 'POST', `${path('whole')}/rollback`);
    expect(back).toMatchObject({ action: 'rollback', routes: [{ version: 1 }], revision: 2 });
    expect((await decide(bob, back, 'approve')).status).toBe(200);
    expect(await get('whole')).toMatchObject({ revision: 3, routes: [{ version: 1 }] });

    expect((await ada.call('DELETE', '/v1/adapters/bot?force=true')).status).toBe(409);
    const gone = await ada.expect<PendingChange>(202, 'DELETE', path('whole'));
    expect((await decide(bob, gone, 'approve')).status).toBe(200);
    expect((await ada.call('GET', path('whole'))).status).toBe(404);
    // The name stays protected: to set it again waits, too.
    const again = await ask(ada, 'whole', to(1));
    expect(again.revision).toBeNull();

    const open = await ada.expect<PendingChange>(202, 'PUT', `${path('whole')}/protection`, {
      protected: false,
    });
    expect(open).toMatchObject({ action: 'unprotect', state: 'pending' });
    expect((await decide(bob, open, 'approve')).status).toBe(200);
    expect((await ada.call('PUT', path('whole'), to(1))).status).toBe(200);
  });

  it('is open to an operator alone, who answers for it in the audit log', async () => {
    await protect('operated');
    const change = await ask(ada, 'operated');
    const operator = new Client(platform.url, ADMIN_KEY, { 'x-tenant': 'acme' });
    expect((await operator.call('PUT', path('operated'), to(3))).status).toBe(202);
    await operator.expect(200, 'PUT', `${path('operated')}/protection`, { protected: false });
    expect(await ada.expect(200, 'GET', `/v1/pending-changes/${change.id}`)).toMatchObject({
      state: 'outdated',
    });
    expect((await actions('bot:operated')).map(({ action }) => action)).toContain('adapter.alias.unprotect');
  });
});

describe('an emergency', () => {
  it('lets one key go back at once with a reason, which is audited', async () => {
    await ada.expect(200, 'PUT', path('urgent'), to(1));
    await ada.expect(200, 'PUT', path('urgent'), to(2));
    await ada.expect(200, 'PUT', `${path('urgent')}/protection`, { protected: true });
    expect((await ada.call('POST', `${path('urgent')}/rollback?emergency=x`)).status).toBe(400);
    const reason = encodeURIComponent('answers in the wrong language');
    const back = await ada.expect<AliasWithHistory>(
      200,
      'POST',
      `${path('urgent')}/rollback?emergency=${reason}`,
    );
    expect(back).toMatchObject({ revision: 3, routes: [{ version: 1 }], protected: true });
    expect((await actions('bot:urgent'))[0]).toMatchObject({
      action: 'adapter.alias.rollback',
      after: { emergency: 'answers in the wrong language' },
    });
  });

  it('that a guard finds needs nobody', async () => {
    await ada.expect(200, 'PUT', path('guarded'), to(1));
    const guard = { max_error_rate: 0.2, min_requests: 3, window_s: 300 };
    await ada.expect(200, 'PUT', path('guarded'), { ...to(2), guard });
    await ada.expect(200, 'PUT', `${path('guarded')}/protection`, { protected: true });
    const change = await ask(bob, 'guarded', to(3));
    platform.engine.script = (generation) => generation.refuse('internal_error', 'the adapter crashes');
    await expect
      .poll(async () => {
        await ada.call('POST', '/v1/completions', { model: 'bot:guarded', prompt: 'x' });
        return (await get('guarded')).routes;
      })
      .toEqual([{ version: 1, weight: 1 }]);
    expect((await get('guarded')).history[0]).toMatchObject({ action: 'guard', approved_by: null });
    expect((await decide(ada, change, 'approve')).status).toBe(412);
  });
});

it('keeps what a pipeline would promote for somebody to approve', async () => {
  const hook = await ada.expect<{ id: string; url: string; secret: string }>(201, 'POST', '/v1/hooks', {
    name: 'ci',
    adapter: 'trained',
    promote: 'production',
  });
  const artifact = { url: storage.put('good', goldenFiles('qv-r8')) };
  await ada.expect(201, 'POST', '/v1/adapters', { name: 'trained' });
  await ada.expect(200, 'PUT', `${path('production', 'trained')}/protection`, { protected: true });
  const { body } = await postSigned<{ id: string }>(hook.url, hook.secret, {
    type: 'fine_tuning.job.succeeded',
    data: { job_id: 'run-1', artifact },
  });
  const done = await until(
    () =>
      ada.expect<{ state: string; promotion: { promoted: boolean; reason: string } | null }>(
        200,
        'GET',
        `/v1/hooks/${hook.id}/deliveries/${body.id}`,
      ),
    ({ state }) => state === 'succeeded' || state === 'failed',
  );
  const { data } = await bob.expect<{ data: PendingChange[] }>(
    200,
    'GET',
    '/v1/pending-changes?adapter=trained',
  );
  expect(data).toMatchObject([
    { state: 'pending', routes: [{ version: 1 }], requested_by: { type: 'hook', id: hook.id } },
  ]);
  expect(done).toMatchObject({
    state: 'succeeded',
    promotion: { promoted: false, reason: expect.stringContaining(data[0]?.id ?? '-') as string },
  });
  expect((await decide(ada, data[0] as PendingChange, 'approve')).status).toBe(200);
  expect(await ada.expect(200, 'GET', path('production', 'trained'))).toMatchObject({
    routes: [{ version: 1 }],
  });
});
