import { SPACE } from './text.js';

const AROUND = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, 'g');
const PREFIXES: Readonly<Record<string, number>> = { '0b': 2, '0o': 8, '0x': 16 };

/** Python's int(text, base). */
export function parseInteger(text: string, base: number): bigint | undefined {
  const match = /^([+-]?)(0[boxBOX])?(_?[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)$/.exec(text.replace(AROUND, ''));
  if (match === null) return undefined;
  const [, sign, prefix, body = ''] = match;
  const prefixBase = prefix === undefined ? undefined : PREFIXES[prefix.toLowerCase()];
  const isPrefix = prefixBase !== undefined && (base === prefixBase || base === 0);
  if (body.startsWith('_') && !isPrefix) return undefined;
  const digits = (isPrefix ? '' : (prefix ?? '')) + body.replaceAll('_', '');
  const radix = base === 0 ? (prefixBase ?? 10) : base;
  let value = 0n;
  for (const digit of digits.toLowerCase()) {
    const size = Number.parseInt(digit, 36);
    if (!(size < radix)) return undefined;
    value = value * BigInt(radix) + BigInt(size);
  }
  return sign === '-' ? -value : value;
}

const NAMED: Readonly<Record<string, number>> = {
  inf: Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  nan: Number.NaN,
};

/** Python's float(text). */
export function parseFloatText(text: string): number | undefined {
  const trimmed = text.replace(AROUND, '').toLowerCase();
  const [, sign, body = ''] = /^([+-]?)(.*)$/s.exec(trimmed) ?? [];
  const named = Object.hasOwn(NAMED, body) ? NAMED[body] : undefined;
  const isDecimal = /^(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/.test(body);
  if (named === undefined && !isDecimal) return undefined;
  const size = named ?? Number(body.replaceAll('_', ''));
  return sign === '-' ? -size : size;
}
