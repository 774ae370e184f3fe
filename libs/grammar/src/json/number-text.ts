/** A number that is not negative, as its digits before and behind the point; no needless zeros. */
export interface Decimal {
  readonly whole: string;
  readonly fraction: string;
}

/** The shortest decimal that reads back as the same double, without an exponent. */
export function decimalOf(value: number): Decimal {
  const [mantissa = '', exponent = '0'] = String(Math.abs(value)).split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  const padded = point > digits.length ? digits.padEnd(point, '0') : digits;
  const before = point <= 0 ? '0' : padded.slice(0, point);
  const behind = point <= 0 ? '0'.repeat(-point) + padded : padded.slice(point);
  return { whole: before.replace(/^0+(?=\d)/, ''), fraction: behind.replace(/0+$/, '') };
}
