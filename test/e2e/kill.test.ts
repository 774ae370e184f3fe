import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, makeTenant, type VersionBody } from '../support/client.js';
import { DEMO_FOLDER, demoIndex } from '../support/demo.js';
import { descendants } from '../support/processes.js';
import { type Stack, startStack } from '../support/stack.js';

const TARGETS: Readonly<Record<string, RegExp>> = {
  worker: /dist\/apps\/worker\/src\/main\.js/,
  engine: /dist\/apps\/engine\/src\/main\.js/,
  api: /dist\/apps\/api\/src\/main\.js/,
  redis: /redis-server/,
  postgres: /\/postgres .*-D/,
};
const UPLOADS = 8;

interface VersionList {
  readonly data: readonly VersionBody[];
}

interface Chat {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
}

describe('kill -9 in the middle of uploads', () => {
  const source = demoIndex().adapters[0] as ReturnType<typeof demoIndex>['adapters'][number];
  let stack: Stack;
  let tenant: Client;

  beforeAll(async () => {
    stack = await startStack();
    tenant = await makeTenant(stack.url, stack.adminKey, 'kill-tests');
  });
  afterAll(() => stack?.stop());

  const ready = async (): Promise<void> => {
    for (let i = 0; i < 600; i++) {
      const answer = await fetch(`${stack.url}/health/ready`).catch(() => undefined);
      if (answer?.status === 200) return;
      await sleep(100);
    }
    throw new Error(`not ready again:\n${stack.output()}`);
  };

  const kill = (name: string): void => {
    const victim = descendants(stack.starter.pid as number).find(({ command }) =>
      TARGETS[name]?.test(command),
    );
    if (!victim) throw new Error(`no ${name} runs below the starter`);
    process.kill(victim.pid, 'SIGKILL');
  };

  /** One upload that does not wait; undefined where the connection broke or a 5xx came back. */
  const upload = async (adapter: string): Promise<VersionBody | undefined> => {
    const answer = await tenant
      .uploadFolder(adapter, join(DEMO_FOLDER, source.path), 0)
      .catch(() => undefined);
    if (answer === undefined || answer.status >= 500) return undefined;
    expect(answer.status).toBe(201);
    return answer.body;
  };

  const settled = async (adapter: string): Promise<readonly VersionBody[]> => {
    for (let i = 0; i < 900; i++) {
      const { status, body } = await tenant.call<VersionList>(
        'GET',
        `/v1/adapters/${adapter}/versions?limit=100`,
      );
      if (status === 200 && body.data.every(({ state }) => state === 'ready' || state === 'rejected'))
        return body.data;
      await sleep(100);
    }
    throw new Error(`versions of ${adapter} did not settle`);
  };

  /** The version's answer; 503 says to come again, as long as the engine starts. */
  const replyOf = async (model: string): Promise<string | undefined> => {
    const request = { model, messages: source.example.messages, temperature: 0, max_tokens: 80 };
    for (let i = 0; i < 600; i++) {
      const { status, headers, body } = await tenant.call<Chat>('POST', '/v1/chat/completions', request);
      if (status === 200) return body.choices[0]?.message.content;
      if (status !== 503 || !headers.has('retry-after')) throw new Error(`${status} ${JSON.stringify(body)}`);
      await sleep(100);
    }
    throw new Error(`${model} did not answer`);
  };

  it.each(Object.keys(TARGETS))(
    'loses no accepted version and shows no half one when the %s is killed',
    async (name) => {
      const adapter = `during-${name}`;
      const accepted: VersionBody[] = [];
      for (let i = 0; i < UPLOADS; i++) {
        const pending = upload(adapter);
        if (i === 2) await sleep(15);
        if (i === 2) kill(name);
        const version = await pending;
        if (version) accepted.push(version);
        else await ready();
      }
      await ready();
      const versions = await settled(adapter);
      expect(versions.filter(({ state }) => state !== 'ready')).toEqual([]);
      for (const { id } of accepted) expect(versions.map((v) => v.id)).toContain(id);
      for (const { version } of versions) {
        expect(await replyOf(`${adapter}@${version}`)).toBe(source.example.expected);
      }
    },
  );

  it('goes on with the same keys after all of it', async () => {
    const demo = new Client(stack.url, readFileSync(join(stack.dataDir, 'demo-key'), 'utf8').trim());
    expect((await demo.call('GET', '/v1/models')).status).toBe(200);
  });
});
