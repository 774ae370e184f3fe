import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { generateRequest } from '../../../../test/support/generate-request.js';
import { collect, promptOf, ServingFixture } from '../../../../test/support/serving-fixture.js';
import type { InferenceEngine } from './inference-engine.js';

let fixture: ServingFixture;
beforeAll(async () => {
  fixture = await ServingFixture.make();
});
afterEach(() => fixture.closeAll());
afterAll(() => fixture.remove());

const run = async (engine: InferenceEngine, overrides: Partial<GenerateRequest> = {}): Promise<void> => {
  const body = generateRequest({ kind: 'tokens', tokens: promptOf(40) }, overrides);
  await collect(await engine.generate(body, new AbortController().signal));
};

describe('the metrics of requests', () => {
  it('counts by adapter version, and forgets one that was dropped', async () => {
    const { engine, registry } = fixture.open({ goodputTtft_ms: 60_000, goodputTpot_ms: 60_000 });
    const adapter = fixture.digests[0] ?? '';
    await run(engine);
    await run(engine, { adapter });
    await run(engine, { adapter });
    const name = adapter.slice(0, 12);
    const text = await registry.metrics();
    for (const line of [
      'adapter_requests_total{adapter="base"} 1',
      `adapter_requests_total{adapter="${name}"} 2`,
      `adapter_tokens_total{adapter="${name}",kind="prompt"} 80`,
      `adapter_tokens_total{adapter="${name}",kind="cached"} 39`,
      `adapter_tokens_total{adapter="${name}",kind="completion"} 40`,
      `adapter_good_tokens_total{adapter="${name}"} 40`,
      'good_requests_total 3',
      'good_tokens_total 60',
      'request_seconds_count 3',
      'adapter_lookups_total{tier="storage"} 1',
      'adapter_lookups_total{tier="device"} 1',
    ]) {
      expect(text).toContain(`lorikeet_engine_${line}`);
    }
    engine.dropAdapter(adapter);
    expect(await registry.metrics()).not.toContain(name);
  });

  it('does not call requests good that came too late', async () => {
    const { engine, registry } = fixture.open({ goodputTtft_ms: 0 });
    await run(engine);
    expect(await registry.metrics()).toContain('lorikeet_engine_good_tokens_total 0');
  });
});
