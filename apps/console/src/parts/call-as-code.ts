/** The call that a page makes, as somebody would write it. */
export interface Call {
  /** Where the API is, such as https://api.example.com. */
  readonly base: string;
  readonly path: string;
  readonly body: object;
}

/** What OpenAI's clients know of what the page sends; all else goes by another door. */
const KNOWN = new Set([
  'model',
  'messages',
  'prompt',
  'temperature',
  'top_p',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'seed',
  'max_tokens',
  'stop',
  'logprobs',
  'top_logprobs',
  'tools',
]);
/** Of chats alone. */
const KNOWN_OF_CHATS = new Set(['response_format']);

export function asCurl({ base, path, body }: Call): string {
  const json = quoted(JSON.stringify(body, null, 2));
  return `curl -sS ${base}${path} \\\n  -H "authorization: Bearer $LORIKEET_KEY" \\\n  -H 'content-type: application/json' \\\n  -d ${json}`;
}

export function asPython({ base, path, body }: Call): string {
  const { known, own } = split(path, body);
  const fields = known.map(([name, value]) => `    ${name}=${python(value, 1)},`);
  if (own.length > 0) fields.push(`    extra_body=${python(Object.fromEntries(own), 1)},`);
  return `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${base}/v1", api_key=os.environ["LORIKEET_KEY"])\nanswer = client.${methodOf(path)}.create(\n${fields.join('\n')}\n)\nprint(answer.choices[0]${isChat(path) ? '.message.content' : '.text'})`;
}

export function asTypeScript({ base, path, body }: Call): string {
  const { known, own } = split(path, body);
  const text = (value: object): string => JSON.stringify(value, null, 2);
  // A variable of its own: a literal may have no fields that the client's types do not know.
  const extra = own.length === 0 ? '' : `const extra = ${text(Object.fromEntries(own))};\n`;
  const fields = text(Object.fromEntries(known));
  const request = own.length === 0 ? fields : fields.replace(/\n}$/, ',\n  ...extra\n}');
  return `import OpenAI from 'openai';\n\nconst client = new OpenAI({ baseURL: '${base}/v1', apiKey: process.env.LORIKEET_KEY });\n${extra}const answer = await client.${methodOf(path)}.create(${request});\nconsole.log(answer.choices[0]?.${isChat(path) ? 'message.content' : 'text'});`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const isChat = (path: string): boolean => path.includes('chat');
const methodOf = (path: string): string => (isChat(path) ? 'chat.completions' : 'completions');

function split(path: string, body: object): { known: [string, unknown][]; own: [string, unknown][] } {
  const isKnown = (name: string): boolean => KNOWN.has(name) || (isChat(path) && KNOWN_OF_CHATS.has(name));
  const entries = Object.entries(body);
  return {
    known: entries.filter(([name]) => isKnown(name)),
    own: entries.filter(([name]) => !isKnown(name)),
  };
}

/** A value of JSON as Python writes it; every string of JSON is one of Python's. */
function python(value: unknown, depth: number): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value !== 'object') return JSON.stringify(value);
  const items = Array.isArray(value)
    ? value.map((item) => python(item, depth + 1))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${python(item, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  if (items.length === 0) return `${open}${close}`;
  const indent = '    '.repeat(depth + 1);
  return `${open}\n${items.map((item) => `${indent}${item},\n`).join('')}${'    '.repeat(depth)}${close}`;
}
