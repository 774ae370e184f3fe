import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import type { Lineage } from '#contracts/lineage-api.js';
import type { List } from '#contracts/resource.js';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let globex: Client;
beforeAll(async () => {
  platform = await Platform.start();
  [acme, globex] = [await platform.tenant('acme'), await platform.tenant('globex')];
});
afterAll(() => platform?.close());

/** A ready version of the golden adapter's bytes. */
const upload = (adapter: string, metadata: object = {}, golden = 'qv-r8', client = acme) =>
  client.expect<VersionResource>(
    201,
    'POST',
    `/v1/adapters/${adapter}/versions?create=true&wait=60`,
    formOf([...Object.entries(goldenFiles(golden)), ['metadata', JSON.stringify(metadata)]]),
  );

const patch = (adapter: string, version: number, body: object, status = 200) =>
  acme.expect<VersionResource & { error?: { param: string } }>(
    status,
    'PATCH',
    `/v1/adapters/${adapter}/versions/${version}`,
    body,
  );

const lineage = (adapter: string, version: number, query = '') =>
  acme.expect<Lineage>(200, 'GET', `/v1/adapters/${adapter}/versions/${version}/lineage${query}`);

const list = async (path: string, client = acme) =>
  (await client.expect<List<VersionResource>>(200, 'GET', path)).data.map(
    ({ adapter, version }) => `${adapter}@${version}`,
  );

describe('what is said of a version', () => {
  it('comes with the upload and is changed field by field, never its digest', async () => {
    const first = await upload('bot', {
      training_job: 'ftjob-1',
      metrics: { loss: 0.25, passed: true, note: 'ok', skipped: null },
      labels: { team: 'a' },
    });
    expect(first).toMatchObject({
      parents: [],
      training_job: 'ftjob-1',
      metrics: { loss: 0.25, passed: true, note: 'ok', skipped: null },
    });
    const changed = await patch('bot', 1, { description: 'the first', metrics: { loss: 0.2 } });
    expect(changed).toEqual({ ...first, description: 'the first', metrics: { loss: 0.2 } });
    expect(await patch('bot', 1, { description: null, training_job: null })).toMatchObject({
      description: null,
      training_job: null,
      labels: { team: 'a' },
    });
    await patch('bot', 1, { training_job: 'ftjob-1' });
  });

  it('is refused where it is no such thing, with the field’s name', async () => {
    for (const [body, param] of [
      [{ metrics: { loss: [] } }, 'metrics.loss'],
      [{ digest: 'x' }, 'digest'],
      [{ parents: ['nonsense'] }, 'parents[0]'],
      [{ parents: ['bot@99'] }, 'parents[0]'],
      [{ parents: ['0190a000-0000-7000-8000-000000000001'] }, 'parents[0]'],
      [{ training_job: '' }, 'training_job'],
    ] as const)
      expect({ body, error: (await patch('bot', 1, body, 400)).error?.param }).toEqual({
        body,
        error: param,
      });
  });
});

describe('lineage', () => {
  it('leads through generations of adapters, up and down, with the metrics of each', async () => {
    const second = await upload('bot', { parents: ['bot@1'], metrics: { loss: 0.1 } }, 'rslora-r4');
    await upload('child', { parents: [second.id] }, 'dora-r8');
    await upload('child', { parents: [second.digest ?? '', 'bot@1'] }, 'some-layers');
    const { nodes, edges, truncated } = await lineage('bot', 2);
    const named = nodes.map(({ adapter, version, relation, distance }) => [
      `${adapter}@${version}`,
      relation,
      distance,
    ]);
    expect(named).toEqual([
      ['bot@2', 'self', 0],
      ['bot@1', 'ancestor', 1],
      ['child@1', 'descendant', 1],
      ['child@2', 'descendant', 1],
    ]);
    expect(nodes[0]).toMatchObject({ metrics: { loss: 0.1 }, state: 'ready' });
    const nameOf = new Map(nodes.map(({ key, adapter, version }) => [key, `${adapter}@${version}`]));
    expect(edges.map(({ parent, child }) => `${nameOf.get(parent)} > ${nameOf.get(child)}`)).toEqual([
      'bot@1 > bot@2',
      'bot@2 > child@1',
      'bot@2 > child@2',
    ]);
    expect(truncated).toBe(false);
    const up = await lineage('child', 1, '?depth=1');
    expect(up.nodes.map(({ adapter, version }) => `${adapter}@${version}`)).toEqual(['child@1', 'bot@2']);
    expect(up.truncated).toBe(true);
  });

  it('refuses a circle', async () => {
    for (const parent of ['bot@1', 'bot@2', 'child@2'])
      expect((await patch('bot', 1, { parents: [parent] }, 400)).error?.param).toBe('parents');
  });

  it('keeps what is known of a parent that was deleted, or was never stored here', async () => {
    const elsewhere = 'ab'.repeat(32);
    await patch('bot', 1, { parents: [elsewhere] });
    await acme.expect(200, 'DELETE', '/v1/adapters/bot/versions/2');
    const { nodes } = await lineage('child', 2);
    expect(nodes).toMatchObject([
      { adapter: 'child', version: 2, state: 'ready' },
      { adapter: 'bot', version: 2, state: 'unknown', relation: 'ancestor' },
      { adapter: 'bot', version: 1, state: 'ready', relation: 'ancestor' },
      { key: elsewhere, id: null, digest: elsewhere, state: 'unknown', distance: 2 },
    ]);
  });
});

describe('versions', () => {
  it('are found by digest, training job, state and label', async () => {
    const again = await upload('twin', { training_job: 'ftjob-1', labels: { team: 'b' } });
    expect(await list(`/v1/versions?digest=${again.digest}`)).toEqual(['twin@1', 'bot@1']);
    expect(await list('/v1/versions?training_job=ftjob-1')).toEqual(['twin@1', 'bot@1']);
    expect(await list('/v1/versions?training_job=ftjob-2')).toEqual([]);
    expect(await list('/v1/versions?limit=2')).toEqual(['twin@1', 'child@2']);
    expect(await list(`/v1/adapters/bot/versions?digest=${again.digest}&state=ready`)).toEqual(['bot@1']);
    expect(await list('/v1/adapters/twin/versions?label=team=b')).toEqual(['twin@1']);
    expect(await list('/v1/adapters/twin/versions?label=team=a')).toEqual([]);
    expect(await list(`/v1/versions?digest=${again.digest}`, globex)).toEqual([]);
  });

  it('are paged by their ids', async () => {
    const first = await acme.expect<List<VersionResource>>(200, 'GET', '/v1/versions?limit=1');
    expect(first.has_more).toBe(true);
    expect(await list(`/v1/versions?limit=1&after=${first.last_id}`)).toEqual(['child@2']);
    await acme.expect(400, 'GET', '/v1/versions?after=nonsense');
  });

  it('with the same bytes are one digest', async () => {
    const [one, two] = [await upload('twin'), await upload('same', {}, 'qv-r8', globex)];
    expect(one.digest).toBe(two.digest);
    expect(one.weights_sha256).toBe(two.weights_sha256);
  });
});

describe('an event', () => {
  it('is in the outbox for every version that was settled, with the public resource', async () => {
    const config = JSON.stringify({ peft_type: 'LORA', unknown_field: 1 });
    const form = formOf([
      [WEIGHTS, goldenFiles('qv-r8')[WEIGHTS] ?? ''],
      [CONFIG, config],
    ]);
    await acme.expect(422, 'POST', '/v1/adapters/bad/versions?create=true&wait=60', form);
    const ready = await acme.expect<VersionResource>(200, 'GET', '/v1/adapters/child/versions/1');
    const events = await platform.query<{ type: string; payload: VersionResource }>(
      "SELECT type, payload FROM outbox_events WHERE type LIKE 'adapter.version.%' ORDER BY id",
    );
    expect(events.find(({ payload }) => payload.id === ready.id)).toEqual({
      type: 'adapter.version.ready',
      payload: ready,
    });
    expect(events.at(-1)).toMatchObject({
      type: 'adapter.version.rejected',
      payload: { adapter: 'bad', state: 'rejected' },
    });
  });
});
