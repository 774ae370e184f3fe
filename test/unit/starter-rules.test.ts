import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { readable, terminalText } from '../../scripts/lib/log-line.mjs';
import { isSupportedNode } from '../../scripts/lib/machine.mjs';
import { isRecentRedis } from '../../scripts/lib/redis.mjs';
import { failuresAfter, restartDelay_ms } from '../../scripts/lib/restart-policy.mjs';
import { curlOf, engineLines } from '../../scripts/lib/welcome.mjs';

describe('what of a log line is shown in the terminal', () => {
  it('shows warnings and worse with their reason', () => {
    expect(terminalText('{"level":"info","msg":"listening"}')).toBeUndefined();
    expect(terminalText('{"level":"warn","msg":"slow"}')).toBe('slow');
    expect(terminalText('{"level":"error","msg":"job failed","err":{"message":"no disk"}}')).toBe(
      'job failed: no disk',
    );
    expect(terminalText('{"level":"fatal","msg":"no model"}')).toBeUndefined(); // told when the process ends
  });

  it('leaves everything else in the log file, broken JSON too, but not a panic of PostgreSQL', () => {
    expect(terminalText('{"level":"error",')).toBeUndefined();
    expect(terminalText('2026-11-21 UTC [9] ERROR:  duplicate key')).toBeUndefined();
    expect(terminalText('2026-11-21 UTC [9] PANIC:  no space left')).toContain('PANIC');
  });
});

describe("a child's last lines", () => {
  it('are readable whether it logged or printed them', () => {
    const lines = [
      '{"level":"info","msg":"starting"}',
      '{"level":"fatal","msg":"no model"}',
      'Error: at last',
      '{broken',
    ];
    expect(readable(lines)).toBe('[log] starting\n[!] no model\nError: at last\n{broken');
  });
});

describe('the machine', () => {
  it('takes Node.js from 20.19 on', () => {
    expect(['20.18.3', '18.20.0', '20.19.0', '22.0.0'].map(isSupportedNode)).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  it('takes Redis from 6.2 on', () => {
    const version = (number: string) =>
      `Redis server v=${number} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64`;
    expect(['6.0.16', '5.0.3', '6.2.0', '7.0.15', '10.1.0'].map(version).map(isRecentRedis)).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
    expect(isRecentRedis('')).toBe(false);
  });
});

describe('restarting what ended', () => {
  it('waits longer each time, half a minute at most', () => {
    const delays = [0, 1, 2, 3, 10, 1000].map(restartDelay_ms);
    expect(delays).toEqual([250, 500, 1000, 2000, 30_000, 30_000]);
  });

  it('forgets earlier ends after a minute of health', () => {
    expect(failuresAfter(4, 59_000)).toBe(5);
    expect(failuresAfter(4, 60_000)).toBe(0);
  });
});

describe('the printed curl', () => {
  it('gives the shell one command whose body is the example, quotes and all', () => {
    const content = `it's $HOME "quoted" \`x\` \\ back`;
    const adapter = {
      name: 'a',
      path: 'p',
      description: 'd',
      example: { messages: [{ role: 'user', content }], expected: '' },
    };
    const command = curlOf('http://127.0.0.1:1', 'key', adapter).replace(/^curl/, "printf '%s\\n'");
    const words = execFileSync('sh', ['-c', command], { encoding: 'utf8' }).trimEnd().split('\n');
    expect(words).toContain('authorization: Bearer key');
    expect(JSON.parse(words.at(-1) ?? '')).toMatchObject({
      model: 'a',
      messages: [{ role: 'user', content }],
    });
  });
});

describe('the welcome', () => {
  it('says what is served, where, and with how much memory', () => {
    const engine = {
      device: 'cpu avx2 8 threads',
      base_model: { name: 'mine', architecture: 'LlamaForCausalLM', quantization: 'int4', max_context: 4096 },
      kv: { pages: 100, page_tokens: 16, bytes: 2 ** 30 },
      adapters: { limit_bytes: 2 ** 29 },
    };
    expect(engineLines(engine as never)).toEqual([
      '  Model         mine (LlamaForCausalLM, int4)',
      '  Device        cpu avx2 8 threads',
      '  Context       4096 tokens',
      '  Memory        1.0 GiB for 1600 cached tokens, 512.0 MiB for adapters',
    ]);
  });
});
