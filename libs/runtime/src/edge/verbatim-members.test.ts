import { expect, it } from 'vitest';
import { RawJson } from '#contracts/raw-json.js';
import { JsonScanner } from './json-scanner.js';
import { parseScanned } from './parse-json.js';

function read(text: string): unknown {
  const bytes = Buffer.from(text);
  const scanner = new JsonScanner();
  scanner.scan(bytes);
  return parseScanned(bytes, scanner, ['tools', 'kwargs']);
}

it('keeps the spelling of numbers in the members named, and no others', () => {
  const text =
    '{"a":1.0,"tools":[{"min":1.0,"max":1e5,"n":[-0,0.5,3,12345678901234567890]}],"kwargs":{"x":2.50},"z":[1.0]}';
  expect(read(text)).toEqual({
    a: 1,
    tools: [
      {
        min: new RawJson('1.0'),
        max: new RawJson('1e5'),
        n: [new RawJson('-0'), 0.5, 3, new RawJson('12345678901234567890')],
      },
    ],
    kwargs: { x: new RawJson('2.50') },
    z: [1],
  });
});

it.each([
  [
    'quotes, brackets and names within strings',
    String.raw`{"m":"\"tools\":[9.0],{\\","tools":["]}\"",1.0,"\\"]}`,
  ],
  ['an escaped name', String.raw`{"\u0074ools":["]}\"",1.0,"\\"]}`],
  ['white space', ' {\n "tools" : [ "]}\\"" , 1.0 , "\\\\" ] \n} '],
  ['the last of two', String.raw`{"tools":[2.0],"tools":["]}\"",1.0,"\\"]}`],
  [
    'an integer that is a bigint beside it',
    String.raw`{"seed":9223372036854775807,"tools":["]}\"",1.0,"\\"]}`,
  ],
])('finds them behind %s', (_, text) => {
  expect(read(text)).toMatchObject({ tools: [']}"', new RawJson('1.0'), '\\'] });
});

it.each(['[{"tools":[1.0]}]', '"tools"', '{"tools":null,"kwargs":7.0}', '{"a":{"tools":[1.0]}}'])(
  'leaves %s as it is',
  (text) => {
    expect(read(text)).toEqual(JSON.parse(text));
  },
);
