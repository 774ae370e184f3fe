import { request } from 'node:http';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VersionResource } from '#contracts/adapters-api.js';
import { readSafetensors } from '#safetensors/reader.js';
import { writeSafetensors } from '#safetensors/writer.js';
import { CONFIG, formOf, goldenFiles, WEIGHTS } from '../support/adapter-form.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';
import { until } from '../support/webhooks.js';

const LIMIT_BYTES = 400_000;
const TEMPLATE = 'chat_template.jinja';

let platform: Platform;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start({ env: { MAX_UPLOAD_BYTES: String(LIMIT_BYTES) } });
  acme = await platform.tenant('acme');
});
afterAll(() => platform?.close());

type Files = Record<string, Uint8Array | string>;
interface Fault {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly param: string | null;
    readonly version?: VersionResource;
  };
}

const sound = (): { config: Uint8Array; weights: Uint8Array } => {
  const { [CONFIG]: config, [WEIGHTS]: weights } = goldenFiles('qv-r8');
  if (!config || !weights) throw new Error('the golden adapter has two files');
  return { config, weights };
};

/** The golden weights with their tensors changed. */
function rewritten(
  change: (tensor: { name: string; dtype: 'F32'; shape: number[]; bytes: Uint8Array }) => void,
): Uint8Array {
  const file = readSafetensors(sound().weights);
  const tensors = file.header.tensors.map(({ name, shape }) => {
    const tensor = {
      name,
      dtype: 'F32' as const,
      shape: [...shape],
      bytes: Uint8Array.from(file.bytes(name) ?? []),
    };
    change(tensor);
    return tensor;
  });
  return writeSafetensors(tensors);
}

const withConfig = (change: object): string =>
  JSON.stringify({ ...(JSON.parse(Buffer.from(sound().config).toString()) as object), ...change });

async function leftOvers() {
  const blobs = join(platform.folder, 'blobs');
  const stored = await readdir(join(blobs, 'sha256'), { recursive: true });
  return {
    incoming: await readdir(join(blobs, 'incoming')),
    blobs: stored.filter((name) => name.length > 64).length,
  };
}

/** What a failed upload of the adapter `none` could have changed. */
const traces = async () => ({
  ...(await leftOvers()),
  status: (await acme.call('GET', '/v1/adapters/none')).status,
});

describe('a version that cannot be served right', () => {
  const cases: Record<string, { files: () => Files; code: string; says?: RegExp }> = {
    'truncated weights': {
      files: () => ({ [CONFIG]: sound().config, [WEIGHTS]: sound().weights.subarray(0, -100) }),
      code: 'weights_file_invalid',
    },
    'a corrupt header': {
      files: () => ({
        [CONFIG]: sound().config,
        [WEIGHTS]: Uint8Array.from(sound().weights).fill(0x20, 8, 40),
      }),
      code: 'weights_file_invalid',
    },
    'no safetensors at all': {
      files: () => ({ [CONFIG]: sound().config, [WEIGHTS]: 'PK\u0003\u0004 a pickle in a zip' }),
      code: 'weights_file_invalid',
    },
    'an empty file of weights': {
      files: () => ({ [CONFIG]: sound().config, [WEIGHTS]: '' }),
      code: 'weights_file_invalid',
    },
    'a wrong shape': {
      files: () => ({
        [CONFIG]: sound().config,
        [WEIGHTS]: rewritten((tensor) => void (tensor.shape = tensor.shape.toReversed())),
      }),
      code: 'tensor_shape',
    },
    NaN: {
      files: () => ({
        [CONFIG]: sound().config,
        [WEIGHTS]: rewritten(({ bytes }) => new DataView(bytes.buffer).setFloat32(4, Number.NaN, true)),
      }),
      code: 'weights_not_finite',
    },
    'no effect': {
      files: () => ({
        [CONFIG]: sound().config,
        [WEIGHTS]: rewritten(({ name, bytes }) => void (name.includes('lora_B') && bytes.fill(0))),
      }),
      code: 'no_effect',
    },
    'an unknown config field': {
      files: () => ({ [CONFIG]: withConfig({ use_magic: true }), [WEIGHTS]: sound().weights }),
      code: 'config_field_unknown',
    },
    'a Git LFS pointer': {
      files: () => ({
        ...goldenFiles('qv-r8'),
        [WEIGHTS]: 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n',
      }),
      code: 'weights_file_invalid',
      says: /Git LFS pointer.*git lfs pull/,
    },
    'a PyTorch file under the name of the weights': {
      files: () => ({ ...goldenFiles('qv-r8'), [WEIGHTS]: 'PK\x03\x04archive/data.pkl' }),
      code: 'weights_file_invalid',
      says: /PyTorch file \(pickle\).*save_file/,
    },
    'a GGUF file under the name of the weights': {
      files: () => ({ ...goldenFiles('qv-r8'), [WEIGHTS]: 'GGUF\x03\0\0\0\0\0\0\0\0\0\0\0' }),
      code: 'weights_file_invalid',
      says: /GGUF file.*save_pretrained/,
    },
    "MLX-LM's config of another method than LoRA": {
      files: () => ({
        ...goldenFiles('qv-r8'),
        [CONFIG]: JSON.stringify({ fine_tune_type: 'full', num_layers: 2, lora_parameters: { rank: 8 } }),
      }),
      code: 'config_field_value',
      says: /^fine_tune_type: /,
    },
    'a config that is no JSON': {
      files: () => ({ [CONFIG]: '{', [WEIGHTS]: sound().weights }),
      code: 'config_json_invalid',
    },
    'a chat template that does not compile': {
      files: () => ({ ...goldenFiles('qv-r8'), [TEMPLATE]: '{% for m in messages %}{{ m.content }}' }),
      code: 'template_invalid',
    },
    'an empty chat template': {
      files: () => ({ ...goldenFiles('qv-r8'), [TEMPLATE]: '' }),
      code: 'template_unusable',
    },
    'a chat template that refuses a plain chat': {
      files: () => ({ ...goldenFiles('qv-r8'), [TEMPLATE]: "{{ raise_exception('two, please') }}" }),
      code: 'template_unusable',
    },
    'an adapter for another base': {
      files: () => goldenFiles('all-r8', 'llama3-rope-tied-sharded'),
      code: 'tensor_shape',
    },
  };

  it.each(Object.keys(cases))('is rejected with a report: %s', async (name) => {
    const found = cases[name];
    if (!found) throw new Error('the case is there');
    const adapter = `bad-${Object.keys(cases).indexOf(name)}`;
    const path = `/v1/adapters/${adapter}/versions?create=true&wait=60`;
    const { status, body } = await acme.call<Fault>('POST', path, formOf(Object.entries(found.files())));
    expect({ status, code: body.error.code, state: body.error.version?.state }).toEqual({
      status: 422,
      code: 'adapter_rejected',
      state: 'rejected',
    });
    const codes = body.error.version?.report?.errors.map(({ code }) => code);
    expect(codes).toContain(found.code);
    const [first] = body.error.version?.report?.errors ?? [];
    expect(first?.message).toMatch(found.says ?? /./);

    const version = await acme.expect<VersionResource>(200, 'GET', `/v1/adapters/${adapter}/versions/1`);
    expect(version).toMatchObject({ state: 'rejected', digest: null, report: { verdict: 'rejected' } });
    const call = await acme.call<Fault>('POST', '/v1/completions', { model: `${adapter}@1`, prompt: 'x' });
    expect({ status: call.status, code: call.body.error.code }).toEqual({
      status: 409,
      code: 'version_not_ready',
    });
  });
});

describe('an upload that is no version', () => {
  const cases: Record<
    string,
    { files: () => [string, Uint8Array | string][]; status: number; code: string; message: RegExp }
  > = {
    'a missing config': {
      files: () => [[WEIGHTS, sound().weights]],
      status: 400,
      code: 'invalid_request',
      message: /adapter_config.json is missing/,
    },
    'missing weights': {
      files: () => [[CONFIG, sound().config]],
      status: 400,
      code: 'invalid_request',
      message: /adapter_model.safetensors is missing/,
    },
    'two weights': {
      files: () => [
        [WEIGHTS, sound().weights],
        [CONFIG, sound().config],
        [WEIGHTS, sound().weights],
      ],
      status: 400,
      code: 'invalid_request',
      message: /occurs twice/,
    },
    'a pickle in the place of the weights': {
      files: () => [
        [CONFIG, sound().config],
        ['adapter_model.bin', 'pickle'],
      ],
      status: 400,
      code: 'invalid_request',
      message: /adapter_model.safetensors is missing. adapter_model.bin is a PyTorch file .*save_file/,
    },
    'metadata as a file beyond its limit': {
      files: () => [
        [CONFIG, sound().config],
        ['metadata.json', new TextEncoder().encode(`{"description":"${'x'.repeat(70_000)}"}`)],
        [WEIGHTS, sound().weights],
      ],
      status: 413,
      code: 'payload_too_large',
      message: /metadata is larger than/,
    },
    'metadata that is no JSON': {
      files: () => [
        [CONFIG, sound().config],
        ['metadata', 'x'],
        [WEIGHTS, sound().weights],
      ],
      status: 400,
      code: 'invalid_request',
      message: /metadata is not JSON/,
    },
    'metadata with an unknown field': {
      files: () => [
        [CONFIG, sound().config],
        ['metadata', '{"state":"ready"}'],
        [WEIGHTS, sound().weights],
      ],
      status: 400,
      code: 'invalid_request',
      message: /metadata/,
    },
    'weights over the limit': {
      files: () => [
        [CONFIG, sound().config],
        [WEIGHTS, new Uint8Array(LIMIT_BYTES + 1)],
      ],
      status: 413,
      code: 'payload_too_large',
      message: /400000 bytes/,
    },
    'a config over the limit': {
      files: () => [
        [CONFIG, new Uint8Array(5 * 2 ** 20)],
        [WEIGHTS, sound().weights],
      ],
      status: 413,
      code: 'payload_too_large',
      message: /larger/,
    },
  };

  // What a rejected version had is freed by the end of its job, after its verdict.
  beforeAll(async () => {
    await until(
      () => platform.activeJobs(),
      (count) => count === 0,
    );
  });

  it.each(Object.keys(cases))('leaves nothing behind: %s', async (name) => {
    const found = cases[name];
    if (!found) throw new Error('the case is there');
    const before = await traces();
    const { status, body } = await acme.call<Fault>(
      'POST',
      '/v1/adapters/none/versions?create=true',
      formOf(found.files()),
    );
    expect({ status, code: body.error.code }).toEqual({ status: found.status, code: found.code });
    expect(body.error.message).toMatch(found.message);
    expect(await traces()).toEqual(before);
  });

  it('leaves nothing behind when the client goes in the middle, also after a whole part', async () => {
    const before = await traces();
    const head = (name: string) =>
      `--b\r\ncontent-disposition: form-data; name="f"; filename="${name}"\r\ncontent-type: application/octet-stream\r\n\r\n`;
    for (const body of [
      [head(WEIGHTS), Buffer.alloc(100_000)],
      [head(CONFIG), sound().config, `\r\n${head(WEIGHTS)}`, Buffer.alloc(100_000)],
    ]) {
      const outgoing = request(`${platform.url}/v1/adapters/none/versions?create=true`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${acme.key}`,
          'content-type': 'multipart/form-data; boundary=b',
          'content-length': 350_000,
        },
      });
      outgoing.on('error', () => undefined);
      for (const piece of body) outgoing.write(piece);
      while ((await leftOvers()).incoming.length === 0) await sleep(10);
      outgoing.destroy();
      while ((await leftOvers()).incoming.length > 0 || (await leftOvers()).blobs > before.blobs)
        await sleep(10);
    }
    expect(await traces()).toEqual(before);
  });

  it('says what is wrong with the request itself', async () => {
    const form = () => formOf(Object.entries(goldenFiles('qv-r8')));
    const codes = async (method: string, path: string, body?: unknown) => {
      const answer = await acme.call<Fault>(method, path, body);
      return [answer.status, answer.body.error.code, answer.body.error.param];
    };
    expect(await codes('POST', '/v1/adapters/none/versions', form())).toEqual([404, 'not_found', null]);
    expect(await codes('POST', '/v1/adapters/a%20b/versions?create=true', form())).toEqual([
      400,
      'invalid_request',
      'adapter',
    ]);
    expect(await codes('POST', '/v1/adapters/none/versions?wait=x', form())).toEqual([
      400,
      'invalid_request',
      'wait',
    ]);
    expect(await codes('POST', '/v1/adapters/llama-gqa/versions?create=true', form())).toEqual([
      409,
      'already_exists',
      'name',
    ]);
    expect(await codes('POST', '/v1/adapters/none/versions?create=true', { source: 'ftp://x/y' })).toEqual([
      400,
      'invalid_request',
      'source',
    ]);
    expect(await traces()).toMatchObject({ status: 404 });
  });

  it('refuses a body that is neither multipart nor JSON, and one that ends too early', async () => {
    const post = async (contentType: string, body: string) => {
      const headers = { authorization: `Bearer ${acme.key}`, 'content-type': contentType };
      const answer = await fetch(`${platform.url}/v1/adapters/none/versions?create=true`, {
        method: 'POST',
        headers,
        body,
      });
      return [answer.status, ((await answer.json()) as Fault).error.code];
    };
    expect(await post('text/plain', 'hello')).toEqual([415, 'unsupported_media_type']);
    expect(await post('multipart/form-data', 'hello')).toEqual([400, 'invalid_request']);
    expect(await post('multipart/form-data; boundary=b', '--b\r\nhello')).toEqual([400, 'invalid_request']);
    expect(await post('multipart/form-data; boundary=b', '')).toEqual([400, 'invalid_request']);
  });
});
