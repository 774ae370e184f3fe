import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSettings } from '#runtime/settings.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import { storageSettings } from '#stores/blobs/open-blob-store.js';
import { goldenBase, goldenFolder } from '../../../../test/support/golden-base.js';
import { ValidationThread } from './validation-thread.js';

const MIB = 2 ** 20;
const never = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), 'lorikeet-validation-'));
const storage = parseSettings(storageSettings, { STORAGE_URL: pathToFileURL(folder).href });
const threads: ValidationThread[] = [];
let blobs: FileBlobStore;
beforeAll(async () => {
  blobs = await FileBlobStore.open(folder);
});
afterAll(async () => {
  await Promise.all(threads.map((thread) => thread.close()));
  rmSync(folder, { recursive: true, force: true });
});

function thread(limits: { timeout_s?: number; memoryBytes?: number } = {}): ValidationThread {
  const made = new ValidationThread(storage, { timeout_s: 60, memoryBytes: 256 * MIB, ...limits });
  threads.push(made);
  return made;
}

/** A golden adapter with some files more or other. */
async function job(files: Record<string, string | Uint8Array> = {}) {
  const adapter = join(goldenFolder('llama-gqa'), 'adapters/qv-r8');
  const names = ['adapter_config.json', 'adapter_model.safetensors'];
  const all = {
    ...Object.fromEntries(names.map((name) => [name, readFileSync(join(adapter, name))])),
    ...files,
  };
  const stored = await Promise.all(
    Object.entries(all).map(async ([name, bytes]) => {
      const body = Buffer.from(bytes);
      return [name, await blobs.put(Readable.from([body]), { limitBytes: body.length })] as const;
    }),
  );
  return { files: new Map(stored), leftOut: [], mustMatchBase: false, base: goldenBase('llama-gqa') };
}

const codes = ({ report }: { report: { errors: { code: string }[] } }) =>
  report.errors.map(({ code }) => code);

/** 14 MB of names of empty tensors. */
function manyTensors(): Uint8Array {
  const tensors = Array.from(
    { length: 190_000 },
    (_, index) => `"t${index}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`,
  );
  const header = Buffer.from(`{${tensors.join(',')}}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header]);
}

const LOOP = '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}';

describe('a thread that validates', () => {
  it('answers as the validation itself does, job after job', async () => {
    const one = thread();
    const accepted = await one.run(await job(), never);
    expect(accepted).toMatchObject({ verdict: 'accepted', manifest: { format: 'lorikeet.adapter.v1' } });
    const rejected = await one.run(await job({ 'adapter_config.json': '{' }), never);
    expect(codes(rejected)).toContain('config_json_invalid');
  });

  it('rejects what takes more memory than it may, and takes the next job', async () => {
    const one = thread({ memoryBytes: 96 * MIB });
    const result = await one.run(await job({ 'adapter_model.safetensors': manyTensors() }), never);
    expect([result.verdict, codes(result)]).toEqual(['rejected', ['validation_too_large']]);
    expect((await one.run(await job(), never)).verdict).toBe('accepted');
  }, 60_000); // it fills its memory, which takes a busy machine a while

  it('rejects what takes more time than it may', async () => {
    const one = thread({ timeout_s: 1 });
    const result = await one.run(await job({ 'chat_template.jinja': LOOP }), never);
    expect([result.verdict, codes(result)]).toEqual(['rejected', ['validation_too_long']]);
  });

  it('ends when it is told to, and takes the next job', async () => {
    const end = new AbortController();
    const one = thread();
    const running = one.run(await job({ 'chat_template.jinja': LOOP }), end.signal);
    end.abort(new Error('closing'));
    await expect(running).rejects.toThrow('closing');
    expect((await one.run(await job(), never)).verdict).toBe('accepted');
  });

  it('says with what message a fault of ours came', async () => {
    const { files, ...rest } = await job();
    const gone = { sha256: 'a'.repeat(64), bytes: 10 };
    const running = thread().run(
      { ...rest, files: new Map([...files, ['adapter_config.json', gone]]) },
      never,
    );
    await expect(running).rejects.toThrow(/aaaa/);
  });
});
