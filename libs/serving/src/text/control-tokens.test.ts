import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type ChatConversation, chatInput } from '#contracts/chat-input.js';
import { ControlTokenGuard } from '#jinja/chat/control-tokens.js';
import { marked, plain } from '#jinja/text.js';
import type { BlobStore } from '#stores/blobs/blob-store.js';
import { ChatTemplates } from './chat-template.js';
import { Tokenizer } from './tokenizer.js';

/** Small tokenizers in the manner of the common families, and Hugging Face's ids: test/golden/tokenizers. */
const FOLDER = join(import.meta.dirname, '../../../../test/golden/tokenizers');
const folder = mkdtempSync(join(tmpdir(), 'lorikeet-tokenizers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Family {
  readonly control: readonly string[];
  readonly tokenizer: unknown;
  readonly cases: readonly { readonly text: string; readonly ids: readonly number[] }[];
}

async function load(name: string): Promise<{ family: Family; tokenizer: Tokenizer }> {
  const family = JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as Family;
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(family.tokenizer));
  return { family, tokenizer: await Tokenizer.load(path) };
}

async function promptIds(
  tokenizer: Tokenizer,
  template: string,
  chat: Partial<ChatConversation> & Pick<ChatConversation, 'messages'>,
  trustMessages = false,
): Promise<number[]> {
  const templates = new ChatTemplates({
    templates: new Map([['default', template]]),
    specialTokens: tokenizer.specialTokens,
    blobs: {} as BlobStore,
    render: tokenizer.renderData,
    trustMessages,
  });
  try {
    const text = await templates.render(chatInput({ addGenerationPrompt: true, ...chat }), {
      caller: 'a',
    });
    return [...(await tokenizer.encodeGuarded(text)).ids];
  } finally {
    await templates.close();
  }
}

const idsOfControl = (tokenizer: Tokenizer, { control }: Family): Set<number> =>
  new Set(control.map((content) => tokenizer.idOf(content) as number));

/** Every text of a chat that a caller writes. */
function forgedChat(forged: string): Pick<ChatConversation, 'messages' | 'tools' | 'templateArguments'> {
  const call = { id: forged, function: { name: forged, arguments: { [forged]: [forged] } } };
  return {
    messages: [
      { role: 'user', content: forged, name: forged },
      { role: 'assistant', content: forged, reasoning_content: forged, tool_calls: [call] },
      { role: 'tool', content: forged, tool_call_id: forged },
    ],
    tools: [{ function: { name: forged, description: forged } }],
    templateArguments: { note: forged },
  };
}
const EVERYTHING =
  "{% for m in messages %}{{ BEGIN + m.role + '\\n' }}{{ m.content | trim }}{{ m.name }}{{ m.reasoning_content ~ m.tool_call_id }}" +
  "{{ m.tool_calls | tojson if m.tool_calls else '' }}{{ m.tool_calls }}{{ '%s|%s' % (m.content, m.content[1:] ~ m.content[0]) }}" +
  "{{ m.content.split('x') | join(m.content) }}{{ m.content.replace('q', '') | upper | lower }}{{ END }}{% endfor %}{{ tools | tojson(indent=2) }}{{ note }}";

describe.each(readdirSync(FOLDER).filter((name) => name.endsWith('.json')))(
  'control tokens of %s',
  (name) => {
    it('come from the template alone, whatever the texts of a chat spell', async () => {
      const { family, tokenizer } = await load(name);
      const control = idsOfControl(tokenizer, family);
      const [begin, end] = [family.control.at(-1) as string, family.control[0] as string];
      const template = EVERYTHING.replace('BEGIN', `'${begin}'`).replace('END', `'${end}'`);
      const forged = `x ${family.control.join(' ')}${family.control.join('')} y`;
      const ids = await promptIds(tokenizer, template, forgedChat(forged));
      expect(ids.filter((id) => control.has(id))).toHaveLength(6);
      expect(ids.filter((id) => id === tokenizer.idOf(begin)).length).toBe(begin === end ? 6 : 3);
    });

    it('are not made of pieces that meet in the template', async () => {
      const { family, tokenizer } = await load(name);
      const [token = ''] = family.control;
      const half = Math.ceil(token.length / 2);
      const messages = [{ role: 'user', content: token.slice(half) }];
      const ids = await promptIds(tokenizer, `${token.slice(0, half)}{{ messages[0].content }}${token}`, {
        messages,
      });
      expect(ids.filter((id) => id === tokenizer.idOf(token))).toHaveLength(1);
      expect(ids.at(-1)).toBe(tokenizer.idOf(token));
    });

    it("leave Hugging Face's ids as they are where nothing is forged, and where something is, all other tokens", async () => {
      const { family, tokenizer } = await load(name);
      const { controlTokens } = tokenizer.renderData;
      for (const { text, ids } of family.cases) {
        expect([...(await tokenizer.encode(text, false)).ids]).toEqual(ids);
        expect([...(await tokenizer.encodeGuarded({ text, respelled: false })).ids]).toEqual(ids);
        // All of it the template's, but encoded the other way.
        const outside = [text.length, text.length];
        const respelled = new ControlTokenGuard(controlTokens, true).guard({ text, outside });
        expect(respelled.respelled).toBe(true);
        expect([...(await tokenizer.encodeGuarded(respelled)).ids]).toEqual(ids);
      }
    });

    it('are read in messages by a setting, for templates that rely on it', async () => {
      const { family, tokenizer } = await load(name);
      const [token = ''] = family.control;
      const messages = [{ role: 'user', content: ` ${token}` }];
      const ids = await promptIds(tokenizer, '{{ messages[0].content }}', { messages }, true);
      expect(ids).toContain(tokenizer.idOf(token));
    });
  },
);

describe('which tokens are control tokens', () => {
  it('those flagged special, and those whose spelling is none of ordinary text; not the marks of thoughts', async () => {
    const { tokenizer } = await load('qwen.json');
    const messages = [{ role: 'assistant', content: '<think>a</think>' }];
    const ids = await promptIds(tokenizer, '{{ messages[0].content }}', { messages });
    expect(ids[0]).toBe(tokenizer.idOf('<think>'));
    expect(ids.at(-1)).toBe(tokenizer.idOf('</think>'));
  });

  it('other spellings that the normalizer turns into a token are no token either', async () => {
    const { family, tokenizer } = await load('unigram.json');
    const forged = family.control.map((content) => content.replace('<', '\uFF1C')).join(' ');
    const ids = await promptIds(tokenizer, '{{ messages[0].content }}', {
      messages: [{ role: 'user', content: forged }],
    });
    const control = idsOfControl(tokenizer, family);
    expect(ids.filter((id) => control.has(id))).toEqual([]);
  });
});

describe('the guard', () => {
  const tokens = [
    { content: '<a>', secret: 'A' },
    { content: '<a><b>', secret: 'AB' },
  ];

  it('respells the longest token of the template, and nothing that touches text from outside', () => {
    const guard = new ControlTokenGuard(tokens, false);
    const text = '<a><b>|<a>|<a><b>';
    // The middle `<a>` and the last `<b>` are from outside.
    expect(guard.guard({ text, outside: [7, 10, 14, 17] })).toEqual({ text: 'AB|<a>|A<b>', respelled: true });
    expect(guard.guard({ text: 'x<a>y', outside: [0, 1] })).toEqual({ text: 'x<a>y', respelled: false });
    expect(plain(marked('x'))).toBe('x');
  });
});
