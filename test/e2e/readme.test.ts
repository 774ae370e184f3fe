import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT, type Stack, startStack } from '../support/stack.js';

const run = promisify(execFile);

/** The shell commands of one section of the README, as a reader would paste them. */
function commandsOf(section: string): string {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const text = readme.split(`## ${section}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...text.matchAll(/```sh\n(.*?)```/gs)].map((match) => match[1]).join('\n');
}

describe("the README's commands", () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack?.stop());

  it('make a tenant, upload an adapter and call it', async () => {
    const commands = commandsOf('Try it');
    expect(commands.match(/^(\w+=\$\()?curl /gm)?.length).toBe(4);
    // Each answer on a line of its own; the key goes into a variable.
    const script = commands.replaceAll(/^curl /gm, 'printf "\\n"; curl ');
    const env = { ...process.env, LORIKEET: stack.url, OPERATOR_KEY: stack.adminKey };
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: ROOT, env });
    const [tenant, version, chat] = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
    expect(tenant).toMatchObject({ name: 'acme' });
    expect(version).toMatchObject({ adapter: 'tickets', version: 1, state: 'ready' });
    expect(chat).toMatchObject({ object: 'chat.completion', model: 'tickets' });
    expect(chat.choices[0].message.content).not.toBe('');
  });
});
