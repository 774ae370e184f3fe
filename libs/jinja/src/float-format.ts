/** Python's float presentation types. */
export type FloatStyle = 'e' | 'f' | 'g';

/** `precision` digits as Python writes them; `alternate` keeps a point and trailing zeros. */
export function formatFloat(value: number, style: FloatStyle, precision: number, alternate = false): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const size = Math.abs(value);
  if (style === 'f') return sign + withPoint(toFixed(size, precision), alternate);
  if (style === 'e') return sign + exponential(size, precision, alternate);
  return sign + general(size, Math.max(precision, 1), alternate);
}

function withPoint(text: string, alternate: boolean): string {
  return alternate && !text.includes('.') ? `${text}.` : text;
}

/** Number.toFixed is exact up to 100 digits and below 1e21; beyond, the value is an integer. */
function toFixed(value: number, precision: number): string {
  const digits = Math.min(precision, 100);
  if (value < 1e21) return roundHalfEven(value, digits) + '0'.repeat(precision - digits);
  return BigInt(value).toString() + (precision > 0 ? `.${'0'.repeat(precision)}` : '');
}

/** toFixed rounds an exact half up, Python to even; all other cases are the same. */
function roundHalfEven(value: number, digits: number): string {
  const text = value.toFixed(digits);
  const exact = exactDecimal(value);
  const point = exact.indexOf('.');
  const tail = point < 0 ? '' : exact.slice(point + 1 + digits).replace(/0+$/, '');
  if (tail !== '5') return text;
  const cut = exact.slice(0, point + 1 + digits).replace(/\.$/, '');
  return Number(cut.at(-1)) % 2 === 0 ? cut : text;
}

/** A float's decimal expansion, which always ends. */
function exactDecimal(value: number): string {
  if (Number.isInteger(value)) return BigInt(value).toString();
  let scale = 0;
  let scaled = value;
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    scale++;
  }
  const digits = (BigInt(scaled) * 5n ** BigInt(scale)).toString().padStart(scale + 1, '0');
  return `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function exponential(value: number, precision: number, alternate: boolean): string {
  const [mantissa = '', exponent = '0'] = value.toExponential(Math.min(precision, 100)).split('e');
  const size = Math.abs(Number(exponent)).toString().padStart(2, '0');
  return `${withPoint(mantissa, alternate)}e${exponent.startsWith('-') ? '-' : '+'}${size}`;
}

function general(value: number, precision: number, alternate: boolean): string {
  const exponent = value === 0 ? 0 : Number(value.toExponential(precision - 1).split('e')[1]);
  if (exponent < -4 || exponent >= precision) {
    const text = exponential(value, precision - 1, alternate);
    return alternate ? text : text.replace(/\.(\d*?)0*e/, (_, digits) => `${digits ? `.${digits}` : ''}e`);
  }
  const text = toFixed(value, precision - 1 - exponent);
  if (alternate) return withPoint(text, true);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** Python's round(value, digits): half to even on the exact value. */
export function roundFloat(value: number, digits: number): number {
  if (!Number.isFinite(value) || digits > 300) return value;
  if (digits >= 0) return Number(formatFloat(value, 'f', digits));
  const unit = 10 ** -digits;
  const quotient = value / unit;
  const floor = Math.floor(quotient);
  const isHalf = quotient - floor === 0.5;
  return (isHalf ? (floor % 2 === 0 ? floor : floor + 1) : Math.round(quotient)) * unit;
}
