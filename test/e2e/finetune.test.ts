import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../support/client.js';
import { ROOT, type Stack, startStack } from '../support/stack.js';

/** A Python with the packages of examples/finetune/requirements.txt: PYTHON, else the system's. */
const python = process.env.PYTHON ?? 'python3';
const CAN_TRAIN = spawnSync(python, ['-c', 'import torch, transformers, peft']).status === 0;
if (!CAN_TRAIN) {
  process.stderr.write(
    `Skipped: ${python} has no torch, transformers and peft; PYTHON names one that has.\n`,
  );
}

/** Runs the example against the product; rejects with what it printed when it fails. */
function pipeline(stack: Stack, key: string, options: readonly string[]): Promise<string> {
  const script = join(ROOT, 'examples/finetune/pipeline.py');
  return new Promise((resolve, reject) => {
    const child = spawn(python, [script, '--url', stack.url, ...options], {
      env: { ...process.env, LORIKEET_KEY: key },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let printed = '';
    const collect = (chunk: Buffer): void => {
      printed += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    child.once('exit', (code) =>
      code === 0 ? resolve(printed) : reject(new Error(`the pipeline ended with ${code}:\n${printed}`)),
    );
  });
}

describe.skipIf(!CAN_TRAIN)('examples/finetune, with a real training', () => {
  let stack: Stack;
  let tenant: Client;
  let key: string;
  beforeAll(async () => {
    stack = await startStack({ env: { ALLOW_PRIVATE_IMPORTS: 'true' } });
    key = readFileSync(join(stack.dataDir, 'demo-key'), 'utf8').trim();
    tenant = new Client(stack.url, key);
  });
  afterAll(() => stack?.stop());

  it('trains an adapter, announces it, and gets it evaluated, promoted and right answers from it', async () => {
    const printed = await pipeline(stack, key, ['--steps', '30']);
    expect(printed).toContain('house-guide@1 is ready; promoted: True');
    const version = await tenant.expect(200, 'GET', '/v1/adapters/house-guide/versions/1');
    expect(version).toMatchObject({ state: 'ready', metrics: { steps: 30 } });
    const alias = await tenant.expect(200, 'GET', '/v1/adapters/house-guide/aliases/production');
    expect(alias).toMatchObject({ routes: [{ version: 1 }] });
  });

  it('leaves the alias where it is when the training was too short to learn anything', async () => {
    await expect(pipeline(stack, key, ['--steps', '1'])).rejects.toThrow('promoted: False');
    const alias = await tenant.expect(200, 'GET', '/v1/adapters/house-guide/aliases/production');
    expect(alias).toMatchObject({ routes: [{ version: 1 }] });
  });
});
