import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import { ChatTemplates, readTemplates } from './chat-template.js';
import { TemplateRenderer } from './template-renderer.js';

const folder = mkdtempSync(join(tmpdir(), 'lorikeet-templates-'));
let blobs: FileBlobStore;
beforeAll(async () => {
  blobs = await FileBlobStore.open(join(folder, 'blobs'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CHAT = {
  kind: 'chat' as const,
  messages: [{ role: 'user', content: 'hi' }],
  addGenerationPrompt: true,
};
const PLAIN =
  '{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}';

describe('chat templates', () => {
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
    const named = new ChatTemplates(await readTemplates(folder), { bos_token: '<s>' }, blobs);
    expect(await named.render(CHAT, undefined)).toBe('<s>[user]hi>');
    expect(await named.render({ ...CHAT, tools: [{}, {}] }, undefined)).toBe('2 tools');
    await named.close();
    writeFileSync(join(folder, 'chat_template.jinja'), 'file');
    expect(await readTemplates(folder)).toEqual(new Map([['default', 'file']]));
  });

  it("renders an adapter's chat with the adapter's own template", async () => {
    const chatTemplate = await blobs.put(Readable.from([Buffer.from('own:{{ messages[0].content }}')]), {
      limitBytes: 1000,
    });
    const templates = new ChatTemplates(new Map([['default', PLAIN]]), {}, blobs);
    const manifest = { chatTemplate } as AdapterManifest;
    expect(await templates.render(CHAT, manifest)).toBe('own:hi');
    await templates.close();
  });

  it('says clearly that a model has no template', async () => {
    const templates = new ChatTemplates(new Map(), {}, blobs);
    await expect(templates.render(CHAT, undefined)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('no chat template') as string,
    });
    await templates.close();
  });

  it("passes on a template's own refusal", async () => {
    const templates = new ChatTemplates(
      new Map([['default', "{{ raise_exception('roles must alternate') }}"]]),
      {},
      blobs,
    );
    await expect(templates.render(CHAT, undefined)).rejects.toThrow('roles must alternate');
    await templates.close();
  });
});

describe('the template renderer', () => {
  const LOOP =
    '{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}';

  it('ends a template that does not end, and renders the next one', async () => {
    const renderer = new TemplateRenderer({ timeout_ms: 300, memoryMegabytes: 64, queueLimit: 10 });
    const slow = renderer.render(LOOP, {});
    const next = renderer.render('{{ a }}', { a: 1 });
    await expect(slow).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await next).toBe('1');
    const begin = performance.now();
    await expect(renderer.render(LOOP, {})).rejects.toMatchObject({ code: 'invalid_request' });
    expect(performance.now() - begin).toBeLessThan(250); // refused without being tried again
    await renderer.close();
  });

  it('survives a template that takes all memory', async () => {
    const renderer = new TemplateRenderer({ timeout_ms: 15_000, memoryMegabytes: 16, queueLimit: 10 });
    const greedy = renderer.render(
      "{% set ns = namespace(s='xxxxxxxxxxxxxxxx', l=[]) %}{% for i in range(100000000) %}{% endfor %}",
      {},
    );
    await expect(greedy).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await renderer.render('{{ a }}', { a: 2 })).toBe('2');
    await renderer.close();
  });

  it('takes only so many waiting renders', async () => {
    const renderer = new TemplateRenderer({ timeout_ms: 5_000, memoryMegabytes: 64, queueLimit: 2 });
    const all = await Promise.allSettled([1, 2, 3, 4, 5].map((a) => renderer.render('{{ a }}', { a })));
    expect(all.map((one) => one.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
    ]);
    await renderer.close();
  });
});
