const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  let unit = 0;
  let amount = value;
  while (Math.abs(amount) >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${amount >= 100 || unit === 0 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit]}`;
}

/** Made when it is first needed: the first formatter of a page loads the browser's data, 20 ms and more on a slow machine. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const compact = once(() => new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }));
const whole = once(() => new Intl.NumberFormat('en'));

/** 1,234 as it is; 1,234,567 as 1.2M. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return Math.abs(value) < 100_000 ? whole().format(value) : compact().format(value);
}

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (value < 1) return '< 1 ms';
  if (value < 1_000) return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  if (value < 60_000) return `${(value / 1_000).toFixed(1)} s`;
  return `${Math.round(value / 60_000)} min`;
}

export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || Number.isNaN(share)) return '–';
  return `${(share * 100).toFixed(share >= 0.9995 || share === 0 ? 0 : 1)} %`;
}

const relative = once(() => new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'narrow' }));
const STEPS = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
] as const;

/** `3 min. ago` */
export function ago(time: string, now_ms = Date.now()): string {
  const seconds = (Date.parse(time) - now_ms) / 1000;
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return relative().format(Math.round(seconds / length), unit);
  }
  return Math.abs(seconds) < 5 ? 'now' : relative().format(Math.round(seconds), 'second');
}

/** `0.0042 USD`: small amounts keep the digits that tell them apart. */
export function money(value: number | null | undefined, currency: string): string {
  if (value === null || value === undefined) return '–';
  const digits =
    value === 0 || Math.abs(value) >= 1 ? 2 : Math.min(8, 1 - Math.floor(Math.log10(Math.abs(value))));
  return `${value.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: Math.max(2, digits) })} ${currency}`;
}

/** `11/30/2026, 3:04:05 PM · 2026-11-30 14:04:05 UTC`: the reader's zone first. */
export function bothZones(iso: string): string {
  const utc = new Date(iso).toISOString().slice(0, 19).replace('T', ' ');
  return `${new Date(iso).toLocaleString()} · ${utc} UTC`;
}
