import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Parity } from '#contracts/parity.js';
import type { Client, VersionBody } from '../support/client.js';
import { FAKE_PARITY } from '../support/fake-engine.js';
import { Platform } from '../support/platform.js';
import { ROOT } from '../support/stack.js';

const ADAPTER = join(ROOT, 'test/golden/cases/llama-gqa/adapters/qv-r8');

type Version = VersionBody & { readonly parity: Parity | null };

describe('the parity check of an upload', () => {
  let platform: Platform;
  let tenant: Client;
  beforeAll(async () => {
    platform = await Platform.start();
    tenant = await platform.tenant('parity');
  });
  afterAll(() => platform?.close());
  afterEach(() => {
    platform.engine.parity = () => FAKE_PARITY;
  });

  const upload = async (adapter: string, wait_s = 60): Promise<Version> =>
    (await tenant.uploadFolder(adapter, ADAPTER, wait_s)).body as Version;
  const versionOf = async (adapter: string): Promise<Version> =>
    tenant.expect<Version>(200, 'GET', `/v1/adapters/${adapter}/versions/1`);

  it('is asked for before the version is ready, and kept with it', async () => {
    const version = await upload('passes');
    expect(version).toMatchObject({ state: 'ready', parity: FAKE_PARITY });
    const asked = platform.engine.parityRequests.at(-1);
    expect(asked).toMatchObject({ adapter: version.digest, weights: version.weights_sha256 });
    expect(asked?.changes).toHaveLength(6);
    expect(asked?.changes[0]).toEqual({
      module: 'model.layers.0.self_attn.q_proj',
      lowRank: {
        a: 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight',
        b: 'base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight',
        scale: 2,
      },
    });
  });

  it('rejects a version that fails it, and says by how much', async () => {
    const failed = { ...FAKE_PARITY, passed: false, max_abs_diff: 0.31, mean_abs_diff: 0.02 };
    platform.engine.parity = () => failed;
    await upload('fails');
    const version = await versionOf('fails');
    expect(version).toMatchObject({ state: 'rejected', digest: null, parity: failed });
    expect(version.report).toMatchObject({
      verdict: 'rejected',
      errors: [{ code: 'parity_failed', found: '0.310, on average 0.0200' }],
    });
    const answer = await tenant.call('POST', '/v1/completions', { model: 'fails@1', prompt: 'x' });
    expect(answer.status).toBeGreaterThanOrEqual(400);
  });

  it('waits for an engine that is away, and leaves the version unready until then', async () => {
    const states: string[] = [];
    platform.engine.parity = async () => {
      states.push((await versionOf('waits')).state);
      if (states.length < 3) throw new Error('cut');
      return FAKE_PARITY;
    };
    await upload('waits', 0);
    await expect.poll(async () => (await versionOf('waits')).state, { timeout: 60_000 }).toBe('ready');
    expect(states).toEqual(['validating', 'validating', 'validating']);
  });
});

describe('PARITY_CHECK=off', () => {
  it('makes a version ready unchecked, and shows that it is', async () => {
    const platform = await Platform.start({ env: { PARITY_CHECK: 'off' } });
    try {
      const tenant = await platform.tenant('unchecked');
      const { body } = await tenant.uploadFolder('plain', ADAPTER);
      expect(body).toMatchObject({ state: 'ready', parity: null });
      expect(platform.engine.parityRequests).toEqual([]);
    } finally {
      await platform.close();
    }
  });
});
