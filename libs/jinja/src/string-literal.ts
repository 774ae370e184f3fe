const SIMPLE: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
const ESCAPE = /\\(?:([0-7]{1,3})|([xuU])([0-9a-fA-F]*)|(N)(?:\{[^}]*\})?|([\s\S]))/g;

/** A string literal's text, by Python's escapes; an unknown escape stands for itself. */
export function unescapeString(body: string): string {
  let out = '';
  let at = 0;
  for (let match = ESCAPE.exec(body); match !== null; match = ESCAPE.exec(body)) {
    out += body.slice(at, match.index);
    const [whole, octal, kind, digits = '', named, other = ''] = match;
    if (named !== undefined) fail('\\N{name} is not supported in chat templates: write the character');
    if (octal !== undefined) out += String.fromCodePoint(Number.parseInt(octal, 8));
    else if (kind === undefined) out += SIMPLE[other] ?? whole;
    else {
      const length = HEX_DIGITS[kind] as number;
      if (digits.length < length) fail(`truncated \\${kind} escape`);
      const code = Number.parseInt(digits.slice(0, length), 16);
      if (code > 0x10ffff) fail('illegal Unicode character');
      out += String.fromCodePoint(code);
      ESCAPE.lastIndex = match.index + 2 + length;
    }
    at = ESCAPE.lastIndex;
  }
  return out + body.slice(at);
}

function fail(message: string): never {
  ESCAPE.lastIndex = 0;
  throw new Error(message);
}
