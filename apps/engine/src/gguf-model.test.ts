import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { chatInput } from '#contracts/chat-input.js';
import { inspectModel as inspectNative, openModel as openNative, probeCuda } from '#native-engine/load.js';
import { parseSettings } from '#runtime/settings.js';
import { checkModel, openModel } from '#serving/model-opening.js';
import { servingSettings } from '#serving/settings.js';
import { generateRequest, idsOf } from '../../../test/support/generate-request.js';
import { ggufFile, ggufOfCase, type GgufFields } from '../../../test/support/gguf-file.js';
import { loadGolden } from '../../../test/support/golden.js';
import { ParityFixture } from '../../../test/support/parity-fixture.js';
import { collect } from '../../../test/support/serving-fixture.js';

/* A GGUF file as MODEL_PATH: the engine over it is the engine over the folder that it was made from. */

const golden = loadGolden('cases/llama-gqa');
const folder = mkdtempSync(join(tmpdir(), 'lorikeet-gguf-engine-'));
const parts = ggufOfCase(golden.name);

function written(name: string, fields: GgufFields = {}): string {
  const path = join(folder, name);
  writeFileSync(path, ggufFile({ ...parts.fields, ...fields }, parts.tensors));
  return path;
}

let fixtures: ParityFixture[] = [];
afterEach(async () => {
  for (const fixture of fixtures) await fixture.close();
  fixtures = [];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function opened(modelPath: string): Promise<ParityFixture> {
  const fixture = await ParityFixture.open({ modelPath });
  fixtures.push(fixture);
  return fixture;
}

const settingsOf = (env: Readonly<Record<string, string>>) =>
  parseSettings(servingSettings, { THREADS: '1', KV_CACHE_BYTES: '4M', ...env });
const modelOf = (env: Readonly<Record<string, string>>) =>
  openModel({ settings: settingsOf(env), inspectNative, openNative, probeCuda, digestCachePath: undefined });

describe('a GGUF file as MODEL_PATH', () => {
  it('answers chats and texts with the tokens of the folder that it was made from, adapters included', async () => {
    const engines = [await opened(written('tiny-chat.gguf')), await opened(golden.modelPath)] as const;
    const inputs = [
      chatInput({
        messages: [{ role: 'user', content: 'Hello <|end|> wörld  1234' }],
        addGenerationPrompt: true,
      }),
      { kind: 'text', text: "It's 12:30, isn't it?\n", addSpecialTokens: true } as const,
    ];
    const answers = await Promise.all(
      engines.map(async (fixture) => {
        const adapters = [undefined];
        const digests = [];
        for (const name of ['qv-r8', 'dora-r8'])
          digests.push(await fixture.serve(join(golden.folder, 'adapters', name)));
        const runs = [];
        for (const adapter of [...adapters, ...digests])
          for (const input of inputs) {
            const request = generateRequest(input, {
              maxTokens: 6,
              ignoreEos: true,
              ...(adapter === undefined ? {} : { adapter }),
            });
            runs.push(
              idsOf(await collect(await fixture.engine.generate(request, new AbortController().signal))),
            );
          }
        return runs;
      }),
    );
    expect(answers[0]).toEqual(answers[1]);
    expect(new Set(answers[0]?.map(String)).size).toBeGreaterThan(2);
  });

  it('passes parity: an adapter merged densely into a second reading of the file gives what is served', async () => {
    const fixture = await opened(written('tiny-chat.gguf'));
    for (const name of ['all-r16-bf16', 'dora-r8']) {
      expect(await fixture.compare(join(golden.folder, 'adapters', name))).toMatchObject({
        passed: true,
        token_agreement: 1,
      });
    }
  });

  it('has the name of the file, and one digest whatever it is called', async () => {
    const models = [];
    for (const name of ['tiny-chat.gguf', 'other.gguf'])
      models.push(await modelOf({ MODEL_PATH: written(name) }));
    models.push(
      await modelOf({ MODEL_PATH: written('tiny-chat.gguf', { 'general.name': ['text', 'another'] }) }),
    );
    const bases = models.map(({ base }) => base);
    for (const model of models) await model.native.close();
    expect(bases[0]).toMatchObject({
      name: 'tiny-chat',
      knownAs: ['tiny-chat'],
      architecture: 'LlamaForCausalLM',
    });
    expect(bases[0]?.specialTokens).toEqual({
      bos_token: '<|bos|>',
      eos_token: '<|eos|>',
      pad_token: '<|pad|>',
    });
    expect(bases[1]?.digest).toBe(bases[0]?.digest);
    expect(bases[2]?.digest).not.toBe(bases[0]?.digest);
  });

  it('ends an answer where the file says so, and where its template ends a turn', async () => {
    const template = "{% for m in messages %}{{ m['content'] }}{% endfor %}";
    const ends = [];
    for (const [name, fields] of [
      ['ends.gguf', {}],
      ['plain.gguf', { 'tokenizer.chat_template': ['text', template] }],
      [
        'more.gguf',
        { 'tokenizer.chat_template': ['text', template], 'tokenizer.ggml.eot_token_id': ['u32', 4] },
      ],
    ] as const) {
      const model = await modelOf({ MODEL_PATH: written(name, fields) });
      ends.push([...model.eosTokenIds].sort((a, b) => a - b));
      await model.native.close();
    }
    expect(ends).toEqual([[1, 6], [1], [1, 4]]);
  });

  it('drafts for a folder with the same tokens', async () => {
    const model = await modelOf({ MODEL_PATH: golden.modelPath, DRAFT_MODEL_PATH: written('draft.gguf') });
    expect(model.draft?.name).toBe('draft');
    await model.draft?.native.close();
    await model.native.close();
  });

  it.each<[string, Readonly<Record<string, string>>, RegExp]>([
    [
      'no file',
      { MODEL_PATH: join(folder, 'absent.gguf') },
      /MODEL_PATH: there is no folder or file .*absent.gguf/,
    ],
    [
      'another file',
      { MODEL_PATH: import.meta.filename },
      /MODEL_PATH: .*gguf-model.test.ts is neither a folder nor a .gguf file/,
    ],
    [
      'a folder of files',
      { MODEL_PATH: folder },
      /holds no config.json; of a GGUF model name the file: .*draft.gguf/,
    ],
    [
      'another cut of texts',
      { MODEL_PATH: written('pre.gguf', { 'tokenizer.ggml.pre': ['text', 'new'] }) },
      /pre.gguf: the tokenizer cannot be used: tokenizer.ggml.pre "new"/,
    ],
    [
      'a key nobody knows',
      { MODEL_PATH: written('key.gguf', { 'llama.new': ['u32', 1] }) },
      /key.gguf: llama.new is not a key/,
    ],
  ])('that is %s is refused by name', async (_, env, message) => {
    await expect(checkModel(settingsOf(env), { inspectNative, probeCuda })).rejects.toThrow(message);
  });
});
