import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { loadGolden } from '../../../test/support/golden.js';
import { openModel } from './load.js';
import type { OpenOptions } from './native.js';
import { nativeErrorKind } from './native-error.js';

const options = (changes: Partial<OpenOptions> = {}): OpenOptions => ({
  modelPath: loadGolden('cases/llama-gqa').modelPath,
  backend: 'cpu',
  threads: 1,
  quantization: 'none',
  maxStepTokens: 32,
  maxSequences: 4,
  kv: { bytes: 1 << 20, pageTokens: 16, dtype: 'f32' },
  ...changes,
});

const kindOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => 'none',
    (error: unknown) => nativeErrorKind(error),
  );

describe('the kind of a native failure', () => {
  it('is invalid for what can never work', async () => {
    expect(await kindOf(openModel(options({ modelPath: '/no/such/folder' })))).toBe('invalid');
  });

  it('is out_of_memory for what the system refuses, and the process goes on', async () => {
    const addon = fileURLToPath(new URL('../../../build/native/lorikeet.node', import.meta.url));
    const large = options({ kv: { bytes: 2 ** 37, pageTokens: 16, dtype: 'f32' } });
    const script = `
      const { open } = require(${JSON.stringify(addon)});
      const opened = async (options) => {
        const model = await open(options);
        await model.close();
        return 'opened';
      };
      const kindOf = (options) => opened(options).catch(({ kind }) => kind);
      (async () => {
        console.log(await kindOf(${JSON.stringify(large)}), await kindOf(${JSON.stringify(options())}));
      })();
    `;
    const { stdout } = await promisify(execFile)('prlimit', [
      `--as=${2 ** 36}`,
      process.execPath,
      '-e',
      script,
    ]);
    expect(stdout.trim()).toBe('out_of_memory opened');
  });

  it('is closed for a model that is closing', async () => {
    const model = await openModel(options());
    const closed = model.close();
    expect(await kindOf(model.loadAdapter({ weightsPath: 'any', modules: [] }))).toBe('closed');
    expect(() => model.memory()).toThrow(expect.objectContaining({ kind: 'closed' }));
    await closed;
  });
});
