import { StructureError } from '../errors.js';

const NAMED: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', '\\': '\\', '"': '"' };

/** What a text between quotes says; an escape that is none stays as it is, as with Lark. */
export function stringValue(written: string): string {
  return written.replaceAll(
    /\\(?:x([\dA-Fa-f]{2})|u([\dA-Fa-f]{4})|U([\dA-Fa-f]{8})|([\s\S]))/g,
    (whole, ...groups: string[]) => {
      const [x, u, U, other = ''] = groups;
      const digits = x ?? u ?? U;
      if (digits === undefined) {
        if ('xuU'.includes(other))
          throw new StructureError('invalid', `the escape "\\${other}" lacks hexadecimal digits`);
        return NAMED[other] ?? whole;
      }
      const codePoint = Number.parseInt(digits, 16);
      if (codePoint > 0x10ffff) throw new StructureError('invalid', `"${whole}" is no character`);
      return String.fromCodePoint(codePoint);
    },
  );
}
