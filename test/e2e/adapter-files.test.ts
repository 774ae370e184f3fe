import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readSafetensors } from '#safetensors/reader.js';
import { writeSafetensors } from '#safetensors/writer.js';
import { formOf } from '../support/adapter-form.js';
import { Client, type VersionBody } from '../support/client.js';
import { DEMO_FOLDER } from '../support/demo.js';
import { type Stack, startStack } from '../support/stack.js';

/* What lies beside an adapter's weights, and weights in another tool's spelling, as callers notice them. */

const FOLDER = join(DEMO_FOLDER, 'adapters/order-json');
const CONFIG = readFileSync(join(FOLDER, 'adapter_config.json'));
const WEIGHTS = readFileSync(join(FOLDER, 'adapter_model.safetensors'));
const PEFT = [
  ['adapter_config.json', CONFIG],
  ['adapter_model.safetensors', WEIGHTS],
] as const;

let stack: Stack;
let tenant: Client;

beforeAll(async () => {
  stack = await startStack();
  tenant = new Client(stack.url, readFileSync(join(stack.dataDir, 'demo-key'), 'utf8').trim());
});
afterAll(() => stack?.stop());

type Version = VersionBody & { readonly report: { readonly errors: unknown[] } | null };

async function upload(
  name: string,
  files: Iterable<readonly [string, Uint8Array | string]>,
): Promise<Version> {
  const path = `/v1/adapters/${name}/versions?create=true&wait=120`;
  const version = await tenant.expect<Version>(201, 'POST', path, formOf(files));
  expect(version).toMatchObject({ state: 'ready' });
  return version;
}

interface Choice {
  readonly token_ids: readonly number[];
  readonly prompt_token_ids: readonly number[];
  readonly finish_reason: string;
}

async function complete(model: string, more: object = {}): Promise<Choice> {
  const body = { model, prompt: 'Hello', max_tokens: 24, return_token_ids: true, ...more };
  const { choices } = await tenant.expect<{ choices: Choice[] }>(200, 'POST', '/v1/completions', body);
  return choices[0] as Choice;
}

it("ends answers at the tokens of the adapter's own generation_config.json, and takes its sampling where none is asked for", async () => {
  const plain = await upload('plain', PEFT);
  const greedy = await complete('plain', { temperature: 0 });
  const end = greedy.token_ids[4] as number;
  const until = greedy.token_ids.slice(0, greedy.token_ids.indexOf(end) + 1);
  const generation = JSON.stringify({ eos_token_id: [end], do_sample: false });
  const own = await upload('own-end', [...PEFT, ['generation_config.json', generation]]);
  expect(own.digest).not.toBe(plain.digest); // it is part of what is served

  expect(await complete('own-end', { temperature: 0 })).toMatchObject({
    token_ids: until,
    finish_reason: 'stop',
  });
  // Without a temperature the file's `do_sample: false` holds: greedy, whatever the seed.
  for (const seed of [1, 2, 3]) expect((await complete('own-end', { seed })).token_ids).toEqual(until);
  // What the request asks for goes before the file.
  const ignoring = await complete('own-end', { temperature: 0, ignore_eos: true });
  expect(ignoring.token_ids).toEqual(
    (await complete('plain', { temperature: 0, ignore_eos: true })).token_ids,
  );
  expect((await complete('plain', { temperature: 0 })).token_ids).toEqual(greedy.token_ids);
});

it("renders chats by the template of tokenizer_config.json, and names a training folder's other files", async () => {
  const template = "{% for message in messages %}{{ message['content'] }}!{% endfor %}";
  const version = await upload('templated', [
    ...PEFT,
    ['tokenizer_config.json', JSON.stringify({ chat_template: template, model_max_length: 512 })],
    ['optimizer.pt', 'a pickle that nobody reads'],
    ['training_args.bin', 'another one'],
  ]);
  const messages = [{ role: 'user', content: 'One glass jar' }];
  const body = { model: 'templated', messages, max_tokens: 1, return_token_ids: true };
  const chat = await tenant.expect<{ prompt_token_ids?: number[]; choices: Choice[] }>(
    200,
    'POST',
    '/v1/chat/completions',
    body,
  );
  const rendered = await complete('templated', {
    prompt: 'One glass jar!',
    max_tokens: 1,
    add_special_tokens: false,
  });
  expect(chat.prompt_token_ids ?? chat.choices[0]?.prompt_token_ids).toEqual(rendered.prompt_token_ids);
  expect(JSON.stringify(version.report)).toContain('optimizer.pt');
  expect(JSON.stringify(version.report)).toContain('training_args.bin');
});

it('renders the numbers of tools and template arguments as they were written', async () => {
  const template =
    "{% for message in messages %}{{ message['content'] }}{% endfor %}{% if tools %}{{ tools[0].function.parameters }} {{ scale }}{% endif %}";
  const tokenizer = JSON.stringify({ chat_template: template });
  await upload('spelled', [...PEFT, ['tokenizer_config.json', tokenizer]]);
  const body =
    '{"model":"spelled","messages":[{"role":"user","content":"x "}],"tool_choice":"none","max_tokens":1,' +
    '"return_token_ids":true,"chat_template_kwargs":{"scale":1e3},"tools":[{"type":"function","function":' +
    '{"name":"f","parameters":{"least":1.0,"most":12345678901234567890,"step":0.5}}}]}';
  const response = await fetch(`${stack.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tenant.key}`, 'content-type': 'application/json' },
    body,
  });
  const chat = (await response.json()) as { choices: Choice[]; prompt_token_ids?: number[] };
  const rendered = await complete('spelled', {
    prompt: "x {'least': 1.0, 'most': 12345678901234567890, 'step': 0.5} 1000.0",
    max_tokens: 1,
    add_special_tokens: false,
  });
  expect(chat.prompt_token_ids ?? chat.choices[0]?.prompt_token_ids).toEqual(rendered.prompt_token_ids);
});

it('answers by an adapter in MLX-LM’s files as by the same one in PEFT’s', async () => {
  const { lora_alpha, r } = JSON.parse(CONFIG.toString()) as { lora_alpha: number; r: number };
  const lora_parameters = { rank: r, scale: lora_alpha / r, dropout: 0 };
  const config = JSON.stringify({
    fine_tune_type: 'lora',
    num_layers: -1,
    lora_parameters,
    model: 'lorikeet-demo',
  });
  await upload('mlx', [
    ['adapter_config.json', config],
    ['adapters.safetensors', inMlxSpelling(WEIGHTS)],
  ]);
  expect((await complete('mlx', { temperature: 0 })).token_ids).toEqual(
    (await complete('order-json', { temperature: 0 })).token_ids,
  );
});

/** `base_model.model.X.lora_A.weight` [r, in] as MLX-LM's `X.lora_a` [in, r]; B likewise. */
function inMlxSpelling(file: Uint8Array): Uint8Array {
  const { header, bytes } = readSafetensors(file);
  return writeSafetensors(
    header.tensors.map((tensor) => {
      const [rows = 0, cols = 0] = tensor.shape;
      const given = bytes(tensor.name) ?? new Uint8Array();
      const width = given.length / (rows * cols);
      const turned = new Uint8Array(given.length);
      for (let row = 0; row < rows; row++)
        for (let col = 0; col < cols; col++)
          turned.set(
            given.subarray((row * cols + col) * width, (row * cols + col + 1) * width),
            (col * rows + row) * width,
          );
      const name = tensor.name
        .replace(/^base_model\.model\./, '')
        .replace(/\.lora_A\.weight$/, '.lora_a')
        .replace(/\.lora_B\.weight$/, '.lora_b');
      return { name, dtype: tensor.dtype, shape: [cols, rows], bytes: turned };
    }),
  );
}
