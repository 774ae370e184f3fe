import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';

const FILES = goldenFiles('qv-r8');
const weights = Buffer.from(FILES[WEIGHTS] ?? []);
const PATH = '/v1/adapters/bot/versions/1/files';

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start();
  acme = await platform.tenant('acme');
  const form = formOf(Object.entries(FILES));
  await acme.expect(201, 'POST', '/v1/adapters/bot/versions?create=true&wait=60', form);
}, 120_000);
afterAll(() => platform?.close());

async function download(file: string, headers: Record<string, string> = {}, client = acme) {
  const response = await fetch(`${platform.url}${PATH}/${file}`, {
    headers: { authorization: `Bearer ${client.key}`, ...headers },
  });
  return { response, bytes: Buffer.from(await response.arrayBuffer()) };
}

describe("a version's files", () => {
  it('are listed, and come back as they were uploaded', async () => {
    const sha256 = createHash('sha256').update(weights).digest('hex');
    expect(await acme.expect(200, 'GET', PATH)).toMatchObject({
      data: [{ id: CONFIG }, { id: WEIGHTS, bytes: weights.length, sha256 }, { id: 'manifest.json' }],
      has_more: false,
    });
    const { response, bytes } = await download(WEIGHTS);
    expect(response.status).toBe(200);
    expect(response.headers.get('etag')).toBe(`"${sha256}"`);
    expect(response.headers.get('content-length')).toBe(String(weights.length));
    expect(bytes.equals(weights)).toBe(true);
    const again = await download(WEIGHTS, { 'if-none-match': `"${sha256}"` });
    expect([again.response.status, again.bytes.length]).toEqual([304, 0]);
  });

  it('are resumed in the middle', async () => {
    const { response, bytes } = await download(WEIGHTS, { range: 'bytes=1000-' });
    expect(response.status).toBe(206);
    expect(response.headers.get('content-range')).toBe(`bytes 1000-${weights.length - 1}/${weights.length}`);
    expect(bytes.equals(weights.subarray(1000))).toBe(true);
    const beyond = await download(WEIGHTS, { range: `bytes=${weights.length}-` });
    expect([beyond.response.status, JSON.parse(beyond.bytes.toString())]).toMatchObject([
      416,
      { error: { code: 'range_not_satisfiable' } },
    ]);
    expect(beyond.response.headers.get('content-range')).toBe(`bytes */${weights.length}`);
  });

  it("are not there for another tenant, nor under a name that is no file's", async () => {
    const other = await platform.tenant('other');
    expect((await download(WEIGHTS, {}, other)).response.status).toBe(404);
    expect((await download('..%2f..%2fsecret')).response.status).toBe(404);
    expect(await acme.call('GET', '/v1/adapters/bot/versions/2/files')).toMatchObject({ status: 404 });
  });
});
