import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import { type ChatConversation, chatInput } from '#contracts/chat-input.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import { ChatTemplates, readTemplates, templateFaults } from './chat-template.js';
import { RenderPool } from './render-pool.js';

const folder = mkdtempSync(join(tmpdir(), 'lorikeet-templates-'));
let blobs: FileBlobStore;
const opened: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  blobs = await FileBlobStore.open(join(folder, 'blobs'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MESSAGES = [{ role: 'user', content: 'hi' }];
const chatOf = (more: Partial<ChatConversation> = {}) =>
  chatInput({ messages: MESSAGES, addGenerationPrompt: true, ...more });
const NOT_GUARDED = { controlTokens: [], guardAlways: false };
const PLAIN =
  '{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}';

function templatesOf(templates: ReadonlyMap<string, string>): ChatTemplates {
  const specialTokens = { bos_token: '<s>' };
  const made = new ChatTemplates({
    templates,
    specialTokens,
    blobs,
    render: NOT_GUARDED,
    trustMessages: false,
  });
  opened.push(made);
  return made;
}

async function manifestWith(template: string): Promise<AdapterManifest> {
  const chatTemplate = await blobs.put(Readable.from([Buffer.from(template)]), { limitBytes: 10_000 });
  return { chatTemplate } as AdapterManifest;
}

describe('chat templates', () => {
  it('leaves the last message open where the answer goes on with it, as Transformers cuts it', async () => {
    const turns =
      '{% for m in messages %}<{{ m.role }}>{{ m.content }}</>\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}';
    const trimmed = turns.replace('m.content', 'm.content | trim');
    const open = async (template: string, content: string) => {
      const messages = [...MESSAGES, { role: 'assistant', content }];
      const chat = chatOf({ messages, addGenerationPrompt: false, continueFinalMessage: true });
      return (await templatesOf(new Map([['default', template]])).render(chat, { caller: 'a' })).text;
    };
    expect(await open(turns, 'Once ')).toBe('<user>hi</>\n<assistant>Once ');
    expect(await open(trimmed, 'Once ')).toBe('<user>hi</>\n<assistant>Once');
    expect(await open(turns, '')).toBe('<user>hi</>\n<assistant>');
    await expect(open('{{ messages[0].content }}', 'Once')).rejects.toMatchObject({
      code: 'invalid_request',
      details: { param: 'messages' },
    });
  });

  it('gives documents to the template', async () => {
    const template =
      '{% for d in documents or [] %}{{ d.title }}: {{ d.text }};{% endfor %}{{ documents is none }}';
    const render = async (documents?: object[]) =>
      (await templatesOf(new Map([['default', template]])).render(chatOf({ documents }), { caller: 'a' }))
        .text;
    expect(await render([{ title: 'T', text: 'x' }])).toBe('T: x;False');
    expect(await render()).toBe('True');
  });

  it('takes chat_template.jinja before tokenizer_config.json, whose template may have names', async () => {
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({
        chat_template: [
          { name: 'default', template: PLAIN },
          { name: 'tool_use', template: '{{ tools | length }} tools' },
        ],
      }),
    );
    const named = templatesOf(await readTemplates(folder));
    expect(await named.render(chatOf(), { caller: 'a' })).toMatchObject({ text: '<s>[user]hi>' });
    expect(await named.render(chatOf({ tools: [{}, {}] }), { caller: 'a' })).toMatchObject({
      text: '2 tools',
    });
    writeFileSync(join(folder, 'chat_template.jinja'), 'file');
    expect(await readTemplates(folder)).toEqual(new Map([['default', 'file']]));
  });

  it("renders an adapter's chat with the adapter's own template", async () => {
    const manifest = await manifestWith('own:{{ messages[0].content }}');
    const templates = templatesOf(new Map([['default', PLAIN]]));
    expect(await templates.render(chatOf(), { manifest, caller: 'a' })).toMatchObject({ text: 'own:hi' });
  });

  it("gives the template the request's further variables before the model's own", async () => {
    const templates = templatesOf(new Map([['default', '{{ bos_token }}{{ effort }}{{ documents }}']]));
    const input = chatOf({ templateArguments: { bos_token: 'B', effort: 'high', documents: [1] } });
    expect(await templates.render(input, { caller: 'a' })).toMatchObject({ text: 'Bhigh[1]' });
  });

  it.each([
    ['that there is none', new Map<string, string>(), 'no chat template'],
    [
      'what the template itself refuses',
      new Map([['default', "{{ raise_exception('alternate!') }}"]]),
      'alternate!',
    ],
    [
      'that the template does not compile',
      new Map([['default', '{% for m in messages %}']]),
      'does not compile',
    ],
  ])('says %s', async (_, templates, message) => {
    await expect(templatesOf(templates).render(chatOf(), { caller: 'a' })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(message) as string,
    });
  });

  it('names the templates of a checkpoint that cannot be used', async () => {
    const faults = await templateFaults(
      new Map([
        ['default', PLAIN],
        ['tool_use', '{{ x'],
      ]),
      {},
    );
    expect(faults).toEqual([expect.stringMatching(/^tool_use: The chat template does not compile/)]);
  });
});

const LOOP =
  "{% for a in range(9999) %}{% for b in range(9999) %}{% if messages[0].content == 'loop' %}{% for c in range(9999) %}{% endfor %}{% endif %}{% endfor %}{% endfor %}{{ messages[0].content }}";
const QUICK = '{{ messages[0].content }}';

describe('rendering in fair turns', () => {
  const poolOf = (threads: number, timeout_ms: number, share_ms = 60_000): RenderPool => {
    const limits = { timeout_ms, memoryMegabytes: 64 };
    const pool = new RenderPool({ limits, data: NOT_GUARDED, threads, waitingPerCaller: 4, share_ms });
    opened.push(pool);
    return pool;
  };
  const job = (source: string, content = 'hi') => ({
    source,
    chat: {
      conversation: JSON.stringify({ messages: [{ role: 'user', content }] }),
      addGenerationPrompt: true,
      specialTokens: {},
      trusted: false,
    },
  });

  /** A render that may be refused when the pool closes. */
  const left = (render: Promise<unknown>): Promise<unknown> => render.catch((error: unknown) => error);

  it('ends a template that does not end, and refuses it to the same caller for a while, to nobody else', async () => {
    const pool = poolOf(1, 500);
    const slow = "{% if messages[0].content == 'loop' %}" + LOOP + '{% endif %}{{ messages[0].content }}';
    expect(await pool.render('a', job(slow, 'loop'))).toMatchObject({ failure: 'too_slow' });
    expect(await pool.render('a', job(slow))).toMatchObject({ failure: 'too_slow' });
    expect(await pool.render('a', job(QUICK))).toMatchObject({ text: 'hi' });
    expect(await pool.render('b', job(slow))).toMatchObject({ text: 'hi' });
  });

  it("renders another caller's chat beside a template that does not end", async () => {
    const pool = poolOf(2, 60_000);
    const slow = [left(pool.render('a', job(LOOP, 'loop'))), left(pool.render('a', job(LOOP, 'loop')))];
    expect(await pool.render('b', job(QUICK))).toMatchObject({ text: 'hi' });
    await pool.close();
    await Promise.all(slow);
  });

  it('ends what had more than its share when somebody waits who has nothing running', async () => {
    const pool = poolOf(2, 60_000, 100);
    const slow = [left(pool.render('a', job(LOOP, 'loop'))), left(pool.render('b', job(LOOP, 'loop')))];
    expect(await pool.render('c', job(QUICK))).toMatchObject({ text: 'hi' });
    expect(await Promise.race(slow)).toMatchObject({ failure: 'ended' });
    await pool.close();
    await Promise.all(slow);
  });

  it('survives a template that fills the memory', async () => {
    const pool = poolOf(1, 15_000);
    const greedy =
      '{% set ns = namespace(l=[messages]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}';
    expect(await pool.render('a', job(greedy))).toHaveProperty('failure');
    expect(await pool.render('a', job(QUICK))).toMatchObject({ text: 'hi' });
  });

  it('refuses a caller that has too many waiting renders', async () => {
    const pool = poolOf(1, 60_000);
    const all = await Promise.allSettled([1, 2, 3, 4, 5, 6].map(() => pool.render('a', job(QUICK))));
    expect(all.map(({ status }) => status)).toEqual([...Array<string>(5).fill('fulfilled'), 'rejected']);
    expect(all[5]).toMatchObject({ reason: { code: 'overloaded' } });
  });
});
