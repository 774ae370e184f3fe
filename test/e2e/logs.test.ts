import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import { Client, makeTenant } from '../support/client.js';
import { demoIndex } from '../support/demo.js';
import { descendants } from '../support/processes.js';
import { type Stack, startStack } from '../support/stack.js';

const SECRET = 'zyxplant3d';

interface LogRecord {
  readonly level: string;
  readonly msg: string;
  readonly requestId?: string;
  readonly [field: string]: unknown;
}

/** Every log under DATA_DIR/logs, and what the starter printed, as lines. */
function linesOf(stack: Stack): { where: string; line: string }[] {
  const folder = join(stack.dataDir, 'logs');
  const texts = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const);
  return [...texts, ['terminal', stack.output()] as const].flatMap(([where, text]) =>
    text.split('\n').map((line) => ({ where, line })),
  );
}

const recordsOf = (stack: Stack, name: string): LogRecord[] =>
  linesOf(stack)
    .filter(({ where, line }) => where === `${name}.log` && line.startsWith('{'))
    .map(({ line }) => JSON.parse(line) as LogRecord);

/** Bytes as they are, whatever HTTP says of them; resolves with the answer. */
function sendRaw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.end(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('error', () => resolve(answer));
    socket.on('close', () => resolve(answer));
  });
}

/** Bodies that plant the secret in each kind of place. */
const bodies = (): unknown[] => [
  {
    [SECRET]: SECRET,
    name: SECRET,
    model: SECRET,
    prompt: SECRET,
    messages: [{ role: 'user', content: SECRET }],
  },
  { name: `${SECRET}\0`, description: `${SECRET}\0`, labels: { [SECRET]: `${SECRET}\0` }, scopes: [SECRET] },
  {
    source: `hf://${SECRET}/${SECRET}`,
    url: `http://${SECRET}.invalid/${SECRET}`,
    events: [SECRET],
    version: SECRET,
  },
  [SECRET],
  SECRET,
];

describe('the logs', () => {
  let stack: Stack;
  let admin: Client;
  let tenant: Client;

  beforeAll(async () => {
    stack = await startStack({ env: { LOG_LEVEL: 'trace' } });
    admin = new Client(stack.url, stack.adminKey);
    tenant = await makeTenant(stack.url, stack.adminKey, 'logs');
  });
  afterAll(() => stack?.stop());

  /** Every route of the API, called with the secret wherever it takes something. */
  async function callEverything(): Promise<void> {
    const { paths } = await tenant.expect<{ paths: Record<string, object> }>(200, 'GET', '/openapi.json');
    const nobody = new Client(stack.url, SECRET, {
      'x-tenant': SECRET,
      cookie: SECRET,
      'user-agent': SECRET,
    });
    const operatorFor = new Client(stack.url, stack.adminKey, { 'x-tenant': 'logs', 'if-match': SECRET });
    for (const [pattern, methods] of Object.entries(paths)) {
      const path = `${pattern.replaceAll(/\{[^}]+\}/g, SECRET)}?${SECRET}=${SECRET}&after=${SECRET}&limit=${SECRET}`;
      for (const method of Object.keys(methods).map((name) => name.toUpperCase())) {
        if (path.startsWith('/v1/admin/maintenance')) continue; // would turn the rest away
        const sent = ['GET', 'HEAD', 'DELETE'].includes(method) ? [undefined] : bodies();
        for (const body of sent) {
          await Promise.all([tenant, operatorFor, nobody].map((client) => client.call(method, path, body)));
        }
      }
    }
  }

  async function callInference(): Promise<void> {
    const { name, adapters } = demoIndex();
    const fields = {
      model: name,
      max_tokens: 4,
      user: SECRET,
      metadata: { [SECRET]: SECRET },
      stop: [SECRET],
    };
    const messages = [{ role: 'user', content: SECRET, name: SECRET }];
    for (const extra of [
      {},
      { stream: true },
      { [SECRET]: 1 },
      { temperature: SECRET },
      { logit_bias: { [SECRET]: 1 } },
      { max_tokens: 10 ** 9 },
      { model: `${SECRET}@1` },
      { tools: [{ type: 'function', function: { name: SECRET, parameters: { [SECRET]: SECRET } } }] },
      { response_format: { type: SECRET } },
    ]) {
      await tenant.call('POST', '/v1/chat/completions', { ...fields, messages, ...extra });
      await tenant.call('POST', '/v1/completions', { ...fields, prompt: SECRET, ...extra });
    }
    expect(adapters.length).toBeGreaterThan(0);
    for (const text of [
      `{"prompt": ${SECRET}`,
      `{"a": "${SECRET}", ${SECRET}}`,
      SECRET,
      '['.repeat(500) + SECRET,
    ]) {
      await fetch(`${stack.url}/v1/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${tenant.key}`, 'content-type': 'application/json' },
        body: text,
      });
    }
  }

  async function upload(): Promise<void> {
    const files = goldenFiles('qv-r8');
    const config = JSON.parse(Buffer.from(files[CONFIG] as Uint8Array).toString()) as object;
    const asText = (more: object) => JSON.stringify({ ...config, ...more });
    const weights = files[WEIGHTS] as Uint8Array;
    const header = Buffer.from(
      JSON.stringify({ [SECRET]: { dtype: SECRET, shape: [1], data_offsets: [0, 4] } }),
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const broken = Buffer.concat([length, header, Buffer.alloc(4)]);
    for (const form of [
      formOf([
        [CONFIG, `{"a": ${SECRET}`],
        [WEIGHTS, weights],
      ]),
      formOf([
        [CONFIG, asText({ [SECRET]: SECRET, target_modules: [SECRET], base_model_name_or_path: SECRET })],
        [WEIGHTS, weights],
      ]),
      formOf([
        [CONFIG, asText({ target_modules: `(${SECRET}` })],
        [WEIGHTS, weights],
      ]),
      formOf([
        [CONFIG, asText({})],
        [WEIGHTS, broken],
      ]),
      formOf([
        [`${SECRET}.json`, SECRET],
        [SECRET, SECRET],
      ]),
    ]) {
      form.append(SECRET, SECRET);
      await tenant.call('POST', `/v1/adapters/${SECRET}/versions?create=true&wait=20`, form);
    }
    for (const source of [
      `https://${SECRET}.invalid/${SECRET}/`,
      `hf://${SECRET}/${SECRET}`,
      `s3://${SECRET}/${SECRET}`,
    ]) {
      await tenant.call('POST', `/v1/adapters/${SECRET}/versions?create=true`, { source });
    }
    await fetch(`${stack.url}/v1/uploads`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${tenant.key}`,
        'tus-resumable': '1.0.0',
        'upload-length': '10',
        'upload-metadata': `filename ${Buffer.from(SECRET).toString('base64')},${SECRET}`,
      },
    });
  }

  async function callTwice(): Promise<void> {
    for (const [method, path, body] of [
      ['POST', '/v1/admin/tenants', { name: SECRET }],
      ['POST', `/v1/admin/tenants/${SECRET}/keys`, { name: SECRET, scopes: ['inference'] }],
      ['POST', '/v1/adapters', { name: SECRET, description: SECRET }],
      ['POST', '/v1/hooks', { name: SECRET, adapter: SECRET }],
      [
        'POST',
        '/v1/webhook-endpoints',
        { url: `https://${SECRET}.invalid/${SECRET}`, events: ['version.ready'] },
      ],
    ] as const) {
      const by = path.startsWith('/v1/admin') ? admin : tenant;
      await by.call(method, path, body);
      await by.call(method, path, body);
    }
  }

  async function breakDatabase(): Promise<void> {
    const server = descendants(stack.starter.pid as number).find(({ command }) =>
      /\/postgres .*-D/.test(command),
    );
    process.kill(server?.pid as number, 'SIGKILL');
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        admin.call('POST', '/v1/admin/tenants', { name: `${SECRET}-${i}` }).catch(() => undefined),
      ),
    );
    await expect
      .poll(async () => (await fetch(`${stack.url}/health/ready`)).status, { timeout: 60_000 })
      .toBe(200);
  }

  it('hold nothing of what callers sent, whatever they send and whatever fails', async () => {
    await callEverything();
    await callInference();
    await upload();
    await callTwice();
    await sendRaw(stack.url, `GET /${SECRET} HTTP/9.9\r\n${SECRET}\r\n\r\n`);
    await sendRaw(
      stack.url,
      `POST /v1/${SECRET} HTTP/1.1\r\nhost: ${SECRET}\r\ncontent-length: 9\r\n\r\n${SECRET}`,
    );
    await sendRaw(stack.url, `${SECRET}\r\n\r\n`);
    await breakDatabase();
    const found = linesOf(stack).filter(({ line }) => line.toLowerCase().includes(SECRET));
    expect(found).toEqual([]);
    expect(recordsOf(stack, 'api').filter(({ msg }) => msg === 'request').length).toBeGreaterThan(100);
    expect(Math.max(...linesOf(stack).map(({ line }) => line.length))).toBeLessThan(16 * 1024);
  });

  it('tell of each request who made it, what came of it and what it took', async () => {
    const [model] = demoIndex().adapters;
    const ask = async (more: object) => {
      const requestId = crypto.randomUUID();
      const by = new Client(tenant.url, tenant.key, { 'x-request-id': requestId });
      const body = {
        model: demoIndex().name,
        messages: [{ role: 'user', content: 'hi' }],
        max_tokens: 3,
        ...more,
      };
      await by.call('POST', '/v1/chat/completions', body);
      return requestId;
    };
    const line = async (requestId: string): Promise<LogRecord> => {
      const find = () =>
        recordsOf(stack, 'api').find((each) => each.msg === 'request' && each.requestId === requestId);
      await expect.poll(find).toBeDefined();
      return find() as LogRecord;
    };
    const who = await tenant.expect<{ tenant: { id: string }; key_id: string }>(200, 'GET', '/v1/whoami');
    for (const more of [{}, { stream: true }]) {
      expect(await line(await ask(more))).toMatchObject({
        level: 'info',
        method: 'POST',
        route: '/v1/chat/completions',
        status: 200,
        tenant: who.tenant.id,
        actor: 'api_key',
        keyId: who.key_id,
        took_ms: expect.any(Number) as number,
        ttft_ms: expect.any(Number) as number,
        promptTokens: expect.any(Number) as number,
        completionTokens: expect.any(Number) as number,
      });
    }
    expect(await line(await ask({ model: 'not there' }))).toMatchObject({ status: 404 });
    expect(model).toBeDefined();
  });
});
