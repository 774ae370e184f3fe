import { expect, it } from 'vitest';
import { structureBody } from './structure-body';

it.each([
  [{ kind: 'text', text: '' }, {}],
  [{ kind: 'json_object', text: '' }, { response_format: { type: 'json_object' } }],
  [
    { kind: 'json_schema', text: '{"type": "null"}' },
    {
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'answer', strict: true, schema: { type: 'null' } },
      },
    },
  ],
  [
    { kind: 'json_schema', text: '{' },
    { response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: '{' } } },
  ],
  [{ kind: 'choice', text: 'a\n\nb b\n' }, { structured_outputs: { choice: ['a', 'b b'] } }],
  [{ kind: 'regex', text: 'a+' }, { structured_outputs: { regex: 'a+' } }],
  [{ kind: 'grammar', text: 'root ::= "a"' }, { structured_outputs: { grammar: 'root ::= "a"' } }],
] as const)('%o is asked for as the API takes it', (structure, body) => {
  expect(structureBody(structure)).toEqual(body);
});
