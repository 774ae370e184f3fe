import { Tabs } from '@mantine/core';
import { Shell } from '../parts/shell';

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function asCurl(url: string, body: object): string {
  return `curl -sS ${url} \\\n  -H "authorization: Bearer $LORIKEET_KEY" \\\n  -H 'content-type: application/json' \\\n  -d ${quoted(JSON.stringify(body, null, 2))}`;
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

function split(body: object): { known: [string, unknown][]; own: [string, unknown][] } {
  const entries = Object.entries(body);
  return {
    known: entries.filter(([name]) => KNOWN.has(name)),
    own: entries.filter(([name]) => !KNOWN.has(name)),
  };
}

function asPython(base: string, path: string, body: object): string {
  const { known, own } = split(body);
  const python = (value: unknown): string =>
    JSON.stringify(value, null, 4)
      .replace(/(?<=[:[,\s])true(?=[,\]\s}]|$)/g, 'True')
      .replace(/(?<=[:[,\s])false(?=[,\]\s}]|$)/g, 'False')
      .replace(/^true$/, 'True')
      .replace(/^false$/, 'False');
  const fields = known.map(([name, value]) => `    ${name}=${python(value).replaceAll('\n', '\n    ')},`);
  if (own.length > 0)
    fields.push(`    extra_body=${python(Object.fromEntries(own)).replaceAll('\n', '\n    ')},`);
  const call = path.includes('chat') ? 'chat.completions' : 'completions';
  return `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${base}/v1", api_key=os.environ["LORIKEET_KEY"])\nanswer = client.${call}.create(\n${fields.join('\n')}\n)\nprint(answer.choices[0]${path.includes('chat') ? '.message.content' : '.text'})`;
}

function asTypeScript(base: string, path: string, body: object): string {
  const call = path.includes('chat') ? 'chat.completions' : 'completions';
  const { known, own } = split(body);
  const text = (value: object): string => JSON.stringify(value, null, 2);
  // A variable of its own: a literal may have no fields that the client's types do not know.
  const extra = own.length === 0 ? '' : `const extra = ${text(Object.fromEntries(own))};\n`;
  const fields = text(Object.fromEntries(known));
  const request = own.length === 0 ? fields : fields.replace(/\n}$/, ',\n  ...extra\n}');
  return `import OpenAI from 'openai';\n\nconst client = new OpenAI({ baseURL: '${base}/v1', apiKey: process.env.LORIKEET_KEY });\n${extra}const answer = await client.${call}.create(${request});\nconsole.log(answer.choices[0]?.${path.includes('chat') ? 'message.content' : 'text'});`;
}

/** The call that the page makes, with the reader's own URL. */
export function AsCode({ path, body }: { path: string; body: object }) {
  const base = window.location.origin;
  return (
    <Tabs defaultValue="curl" variant="outline">
      <Tabs.List>
        <Tabs.Tab value="curl">curl</Tabs.Tab>
        <Tabs.Tab value="python">Python</Tabs.Tab>
        <Tabs.Tab value="typescript">TypeScript</Tabs.Tab>
      </Tabs.List>
      <Tabs.Panel value="curl" pt="xs">
        <Shell text={asCurl(base + path, body)} />
      </Tabs.Panel>
      <Tabs.Panel value="python" pt="xs">
        <Shell text={asPython(base, path, body)} />
      </Tabs.Panel>
      <Tabs.Panel value="typescript" pt="xs">
        <Shell text={asTypeScript(base, path, body)} />
      </Tabs.Panel>
    </Tabs>
  );
}
