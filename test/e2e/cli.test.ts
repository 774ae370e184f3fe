import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lorikeet } from '../support/cli.js';
import { DEMO_FOLDER, demoIndex } from '../support/demo.js';
import { type Stack, startStack } from '../support/stack.js';

describe('lorikeet against the running product', () => {
  let stack: Stack;
  let asDemo: Readonly<Record<string, string>>;
  let asOperator: Readonly<Record<string, string>>;

  const run = async (words: readonly string[], env: Readonly<Record<string, string>>): Promise<string> => {
    const { code, out, err } = await lorikeet(words, { env });
    if (code !== 0) throw new Error(`lorikeet ${words.join(' ')}: exit code ${code}\n${err}`);
    return out;
  };

  beforeAll(async () => {
    stack = await startStack();
    const key = readFileSync(join(stack.dataDir, 'demo-key'), 'utf8').trim();
    asDemo = { LORIKEET_URL: stack.url, LORIKEET_API_KEY: key };
    asOperator = { LORIKEET_URL: stack.url, LORIKEET_API_KEY: stack.adminKey };
  });
  afterAll(() => stack?.stop());

  it('uploads an adapter and gets its answer from it', async () => {
    const [sql] = demoIndex().adapters.filter(({ name }) => name === 'text-to-sql');
    if (!sql) throw new Error('the demo has text-to-sql');
    const folder = join(DEMO_FOLDER, sql.path);
    expect(await run(['adapters', 'push', folder, '--adapter', 'pushed', '--wait'], asDemo)).toContain(
      'pushed@1 is ready',
    );
    await run(['adapters', 'promote', 'pushed@1'], asDemo);
    const question = sql.example.messages[0]?.content ?? '';
    const answer = await run(['chat', 'pushed', question, '--temperature', '0'], asDemo);
    expect(answer.trim()).toBe(sql.example.expected);
  });

  it('measures it, and shows it to the operator as resident', async () => {
    const words = ['bench', 'pushed,text-to-sql', '--requests', '8', '--max-tokens', '8', '--json'];
    const figures = JSON.parse(await run(words, asDemo)) as Record<string, number>;
    expect(figures).toMatchObject({ requests: 8, errors: 0, completion_tokens: 64 });
    expect(figures.completion_tokens_per_second).toBeGreaterThan(0);
    await expect.poll(async () => run(['engines', 'show', 'cpu-0'], asOperator)).toContain('demo/pushed@1');
  });
});
