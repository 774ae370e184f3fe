import { setTimeout as sleep } from 'node:timers/promises';
import { flood, hold } from './traffic.mjs';
import { adapterForm, configWith } from './upload-form.mjs';

/** @typedef {import('./abuses.mjs').Target} Target */
/** @typedef {import('./abuses.mjs').Context} Context */
/** @typedef {import('./abuses.mjs').PreparedAbuse} PreparedAbuse */

const MIB = 2 ** 20;
/** Every adapter of the attacker; given up with all its versions when its abuse ends. */
const ADAPTER = 'attack';
const TUS = { 'tus-resumable': '1.0.0' };
const OCTETS = 'application/offset+octet-stream';
const UNFINISHED = 200;

/** @param {Target} target */
const authorization = ({ attackerKey }) => ({ authorization: `Bearer ${attackerKey}` });
/** @param {Target} target @param {string} query */
const versionsOf = ({ url }, query) => `${url}/v1/adapters/${ADAPTER}/versions?create=true${query}`;

/** The same upload again and again. @param {() => Record<string, string | Buffer>} files @param {number} [clients] @returns {PreparedAbuse} */
function uploads(files, clients = 8) {
  return {
    run: (context) => {
      const { headers, body } = adapterForm(files());
      const all = { ...authorization(context), ...headers };
      return flood(context, clients, { url: versionsOf(context, ''), headers: all, body });
    },
    tidy: giveUpAdapter,
  };
}

/** Chats with an adapter that brings its own template. @param {string} template  must render a chat that does not say "go" @returns {PreparedAbuse} */
function chatsWith(template) {
  return {
    prepare: async (target) => {
      const { headers, body } = adapterForm({ 'chat_template.jinja': template });
      const all = { ...authorization(target), ...headers };
      const url = versionsOf(target, '&wait=60');
      const answer = await fetch(url, { method: 'POST', headers: all, body: new Uint8Array(body) });
      if (answer.status !== 201) throw new Error(`the template was not taken: ${await answer.text()}`);
    },
    run: (context) => {
      const body = { model: ADAPTER, max_tokens: 1, messages: [{ role: 'user', content: 'go' }] };
      const headers = { ...authorization(context), 'content-type': 'application/json' };
      const url = `${context.url}/v1/chat/completions`;
      return flood(context, 8, { url, headers, body: JSON.stringify(body) });
    },
    tidy: giveUpAdapter,
  };
}
/** @param {string} work */
const whenTold = (work) => `{% if messages[0]['content'] == 'go' %}${work}{% endif %}Hello`;
const LOOP = '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}';
const EXPAND =
  "{% set x = namespace(t='word ' * 1000) %}{% for i in range(40) %}{% set x.t = x.t ~ x.t %}{{ x.t }}{% endfor %}";
const GROW =
  "{% set x = namespace(l=[]) %}{% for i in range(99999) %}{% set x.l = x.l + [x.l, 'w' * 999] %}{% endfor %}";

/** @param {Target} target */
async function giveUpAdapter(target) {
  await fetch(`${target.url}/v1/adapters/${ADAPTER}?force=true`, {
    method: 'DELETE',
    headers: authorization(target),
  });
}

const names = (/** @type {number} */ bytes, /** @type {(index: number) => string} */ name) => {
  /** @type {string[]} */
  const all = [];
  for (let sum = 0; sum < bytes; ) sum += all[all.push(name(all.length)) - 1]?.length ?? 0;
  return all;
};
const UNKNOWN_FIELDS = () =>
  configWith(Object.fromEntries(names(2.6 * MIB, (index) => `unknown_${index}`).map((name) => [name, 0])));
const MODULES = () => configWith({ target_modules: names(3.2 * MIB, (index) => `layers.${index}.q_proj`) });
const PATTERNS = () =>
  configWith({
    rank_pattern: Object.fromEntries(
      names(0.7 * MIB, (index) => `(a|b.*c)*layers[.](${index}|x)`).map((key) => [key, 4]),
    ),
  });
/** 30 KB that open as many lists as they close. */
const DEEP = `${'['.repeat(15_000)}${']'.repeat(15_000)}`;

/** As many resumable uploads as a tenant may begin, each with a body that does not end. @returns {PreparedAbuse} */
function unfinishedUploads() {
  /** @type {string[]} */
  let paths = [];
  return {
    prepare: async (target) => {
      const begun = await Promise.all(Array.from({ length: UNFINISHED }, () => beginUpload(target)));
      paths = begun.flatMap(({ path }) => path ?? []);
    },
    run: async (context) => {
      const headers = { ...authorization(context), ...TUS, 'content-type': OCTETS, 'upload-offset': '0' };
      const sending = paths.map((path) =>
        hold(context, 1, { url: context.url + path, method: 'PATCH', headers, bytes: MIB }),
      );
      await Promise.all([...sending, beginMore(context)]);
    },
    tidy: async (target) => {
      await Promise.all(paths.map((path) => endUpload(target, path)));
    },
  };
}

/** @param {Target} target @returns {Promise<{ status: number, path: string | undefined }>} */
async function beginUpload(target) {
  const headers = { ...authorization(target), ...TUS, 'upload-length': String(64 * MIB) };
  const { status, headers: answered } = await fetch(`${target.url}/v1/uploads`, { method: 'POST', headers });
  return { status, path: answered.get('location') ?? undefined };
}

/** Beyond what a tenant may. @param {Context} context */
async function beginMore(context) {
  while (!context.signal.aborted) {
    context.answers.note((await beginUpload(context)).status);
    await sleep(10);
  }
}

/** @param {Target} target @param {string} path */
async function endUpload(target, path) {
  const headers = { ...authorization(target), ...TUS };
  await fetch(target.url + path, { method: 'DELETE', headers });
}

/** 30 KB of nested lists wherever a tenant's JSON is taken. @type {import('./abuses.mjs').Abuse} */
const deepJson = (context) => {
  const headers = { ...authorization(context), 'content-type': 'application/json' };
  const chat = (/** @type {string} */ field) =>
    `{"model":"x","messages":[{"role":"user","content":"x"}],${field}}`;
  const requests = [
    [
      'POST',
      '/v1/chat/completions',
      chat(`"tools":[{"type":"function","function":{"name":"f","parameters":{"x":${DEEP}}}}]`),
    ],
    [
      'POST',
      '/v1/chat/completions',
      chat(`"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"x":${DEEP}}}}`),
    ],
    ['POST', '/v1/chat/completions', chat(`"messages":${DEEP}`)],
    ['POST', '/v1/completions', `{"model":"x","prompt":${DEEP}}`],
    ['POST', '/v1/adapters', `{"name":"${ADAPTER}","labels":${DEEP}}`],
    ['POST', '/v1/hooks', `{"name":"h","promote":${DEEP}}`],
  ];
  return Promise.all(
    requests.map(([method = '', path = '', body = '']) =>
      flood(context, 2, { url: context.url + path, method, headers, body }),
    ),
  );
};

/** What was tried with uploads, jobs and templates; another tenant's upload is watched besides. @type {Record<string, PreparedAbuse>} */
export const UPLOAD_ABUSES = {
  "a key: an adapter's template that loops": chatsWith(whenTold(LOOP)),
  "a key: an adapter's template that expands": chatsWith(whenTold(EXPAND)),
  "a key: an adapter's template that grows lists": chatsWith(whenTold(GROW)),
  'a key: uploads whose templates loop': uploads(() => ({ 'chat_template.jinja': LOOP })),
  'a key: configs of 3.8 MB of unknown fields': uploads(() => ({ 'adapter_config.json': UNKNOWN_FIELDS() })),
  'a key: configs of 3.8 MB of modules': uploads(() => ({ 'adapter_config.json': MODULES() })),
  'a key: configs of 10,000 patterns': uploads(() => ({ 'adapter_config.json': PATTERNS() })),
  'a key: configs of 30 KB of nested lists': uploads(() => ({
    'adapter_config.json': `{"peft_type":"LORA","r":${DEEP}}`,
  })),
  'a key: uploads with 16 MB of metadata': uploads(() => ({ metadata: Buffer.alloc(16 * MIB, ' ') })),
  'a key: hundreds of uploads at once': uploads(() => ({}), 32),
  'a key: 200 resumable uploads that do not end': unfinishedUploads(),
  'a key: 30 KB of nested lists in every field': { run: deepJson },
};
