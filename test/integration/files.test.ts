import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FileList, FileResource } from '#contracts/openai/files.js';
import type { LimitsResource } from '#contracts/limits-api.js';
import { fileForm, uploadFile } from '../support/batches.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

const MOST_BYTES = 4_096;

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start({ worker: false, env: { MAX_FILE_BYTES: String(MOST_BYTES) } });
  acme = await platform.tenant('acme');
});
afterAll(() => platform?.close());

const list = (client: Client, query = '') => client.expect<FileList>(200, 'GET', `/v1/files${query}`);
const storedBytes = async (client: Client) =>
  (await client.expect<LimitsResource>(200, 'GET', '/v1/limits')).used.stored_bytes;
interface Fault {
  readonly error: { readonly code: string; readonly param: string | null };
}
const fault = (code: string, param: string | null = null) => ({ body: { error: { code, param } } });

describe('a file', () => {
  it('is uploaded, shown, downloaded whole and in parts, and deleted', async () => {
    const client = await platform.tenant('whole');
    const text = '{"a": 1}\n{"b": "ü"}\n';
    const file = await uploadFile(client, text);
    const bytes = Buffer.byteLength(text);
    expect(file).toEqual({
      id: expect.stringMatching(/^file-[0-9a-f]{32}$/) as string,
      object: 'file',
      bytes,
      created_at: expect.any(Number) as number,
      expires_at: file.created_at + 30 * 86_400,
      filename: 'requests.jsonl',
      purpose: 'batch',
      status: 'processed',
    });
    const path = `/v1/files/${file.id}`;
    expect(await client.expect(200, 'GET', path)).toEqual(file);
    expect((await client.call('GET', `${path}/content`)).body).toBe(text);
    const part = await fetch(`${client.url}${path}/content`, {
      headers: { authorization: `Bearer ${client.key}`, range: 'bytes=2-4' },
    });
    expect([part.status, await part.text()]).toEqual([206, text.slice(2, 5)]);
    expect(await storedBytes(client)).toBe(bytes);
    expect(await client.expect(200, 'DELETE', path)).toEqual({ id: file.id, object: 'file', deleted: true });
    for (const [method, of] of [
      ['GET', path],
      ['GET', `${path}/content`],
      ['DELETE', path],
    ] as const)
      expect(await client.call(method, of)).toMatchObject({ status: 404, ...fault('not_found') });
    expect(await storedBytes(client)).toBe(0);
  });

  it('is listed by pages in both orders, and by its purpose', async () => {
    const client = await platform.tenant('lists');
    const ids: string[] = [];
    for (const text of ['1', '2', '3']) ids.push((await uploadFile(client, text)).id);
    const idsOf = ({ data }: FileList) => data.map(({ id }) => id);
    expect(idsOf(await list(client))).toEqual(ids.toReversed());
    const first = await list(client, '?limit=2&order=asc&purpose=batch');
    expect([idsOf(first), first.has_more, first.first_id, first.last_id]).toEqual([
      ids.slice(0, 2),
      true,
      ids[0],
      ids[1],
    ]);
    const second = await list(client, `?limit=2&order=asc&after=${first.last_id}`);
    expect([idsOf(second), second.has_more]).toEqual([ids.slice(2), false]);
    expect(idsOf(await list(client, `?limit=1&after=${ids[2]}`))).toEqual([ids[1]]);
    expect((await list(client, '?purpose=fine-tune')).data).toEqual([]);
    expect(await client.call('GET', '/v1/files?after=nothing')).toMatchObject({
      status: 400,
      ...fault('invalid_request', 'after'),
    });
  });

  it.each([
    ['without a purpose', {}, 'purpose'],
    ['for another purpose', { purpose: 'fine-tune' }, 'purpose'],
    ['with a field of no meaning', { purpose: 'batch', color: 'red' }, 'color'],
    [
      'that expires too soon',
      { purpose: 'batch', 'expires_after[anchor]': 'created_at', 'expires_after[seconds]': '10' },
      'expires_after.seconds',
    ],
  ] as const)('%s is refused, and its bytes do not stay', async (_, fields, param) => {
    const client = await platform.tenant(
      `refused-${param.replaceAll('.', '-')}-${Object.keys(fields).length}`,
    );
    const answer = await client.call<Fault>(
      'POST',
      '/v1/files',
      fileForm('refused', { fields: { ...fields } }),
    );
    expect(answer).toMatchObject({ status: 400, ...fault('invalid_request', param) });
    expect([(await list(client)).data, await storedBytes(client)]).toEqual([[], 0]);
  });

  it('must be there, be a file, and hold something', async () => {
    const empty = await acme.call<Fault>('POST', '/v1/files', fileForm(''));
    expect(empty).toMatchObject({ status: 400, ...fault('invalid_request', 'file') });
    for (const file of [undefined, 'text']) {
      const form = new FormData();
      form.append('purpose', 'batch');
      if (file !== undefined) form.append('file', file);
      expect(await acme.call<Fault>('POST', '/v1/files', form)).toMatchObject({
        status: 400,
        ...fault('invalid_request', 'file'),
      });
    }
    expect(await acme.call('POST', '/v1/files', { purpose: 'batch' })).toMatchObject({ status: 415 });
  });

  it('may be as large as the operator allows, and no larger', async () => {
    await uploadFile(acme, 'x'.repeat(MOST_BYTES));
    const tooLarge = await acme.call<Fault>('POST', '/v1/files', fileForm('x'.repeat(MOST_BYTES + 1)));
    expect(tooLarge).toMatchObject({ status: 413, ...fault('payload_too_large') });
  });

  it('counts among the bytes that the tenant may store, the same bytes once', async () => {
    const client = await platform.tenant('small');
    await platform.admin.expect(200, 'PATCH', '/v1/admin/tenants/small', { quotas: { stored_bytes: 10 } });
    const first = await uploadFile(client, 'abcdefgh');
    await uploadFile(client, 'abcdefgh');
    expect(await storedBytes(client)).toBe(8);
    const refused = await client.call<Fault>('POST', '/v1/files', fileForm('123'));
    expect(refused).toMatchObject({ status: 429, ...fault('quota_exceeded') });
    await client.expect(200, 'DELETE', `/v1/files/${first.id}`);
    expect(await storedBytes(client)).toBe(8);
  });

  it('expires when its owner said, is gone at once, and its bytes with the next tidying', async () => {
    const fields = { 'expires_after[anchor]': 'created_at', 'expires_after[seconds]': '3600' };
    const file = await uploadFile(acme, 'short-lived', fields);
    expect(file.expires_at).toBe(file.created_at + 3_600);
    await platform.query(
      "UPDATE files SET expires_at = now() - interval '1 second' WHERE filename = $1 AND bytes = 11",
      ['requests.jsonl'],
    );
    await acme.expect(404, 'GET', `/v1/files/${file.id}`);
    expect((await list(acme)).data.map(({ id }: FileResource) => id)).not.toContain(file.id);
    await platform.startWorker();
    const left = () => platform.query('SELECT 1 FROM files WHERE bytes = 11');
    await expect.poll(left).toEqual([]);
  });
});
