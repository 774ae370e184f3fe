import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { asCurl, asPython, asTypeScript } from './call-as-code';

const body = {
  model: 'bot',
  messages: [{ role: 'user', content: "Is it: true, null or 'false'?\n\u2028" }],
  response_format: { type: 'json_schema', json_schema: { schema: { enum: [null, true, 1.5], items: {} } } },
  structured_outputs: { choice: [] },
};
const call = { base: 'https://api.example.com', path: '/v1/chat/completions', body };

it('is written in Python with its own words for true and null, and texts as they are', () => {
  expect(asPython(call)).toBe(`import os
from openai import OpenAI

client = OpenAI(base_url="https://api.example.com/v1", api_key=os.environ["LORIKEET_KEY"])
answer = client.chat.completions.create(
    model="bot",
    messages=[
        {
            "role": "user",
            "content": "Is it: true, null or 'false'?\\n\u2028",
        },
    ],
    response_format={
        "type": "json_schema",
        "json_schema": {
            "schema": {
                "enum": [
                    None,
                    True,
                    1.5,
                ],
                "items": {},
            },
        },
    },
    extra_body={
        "structured_outputs": {
            "choice": [],
        },
    },
)
print(answer.choices[0].message.content)`);
});

it('is written for a shell, whatever its texts hold', () => {
  const line = asCurl(call).replace('curl -sS', 'printf "%s\\n"');
  const printed = execFileSync('sh', ['-c', line], { encoding: 'utf8', env: { LORIKEET_KEY: 'k' } });
  expect(JSON.parse(printed.slice(printed.indexOf('{')))).toEqual(body);
});

it('is written in TypeScript with what the client does not know apart', () => {
  const text = asTypeScript({ ...call, path: '/v1/completions', body: { prompt: 'x', ...body } });
  expect(text).toContain('const extra = {\n  "response_format"');
  expect(text).toContain('...extra\n});');
  expect(asTypeScript(call)).toContain('const extra = {\n  "structured_outputs"');
});
