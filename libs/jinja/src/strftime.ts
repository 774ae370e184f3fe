const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const DAY_MS = 86_400_000;

/** C's strftime in the C locale, in local time; `-` drops the padding, as with GNU. An unknown directive is kept. */
export function formatTime(format: string, time: Date): string {
  return format.replace(/%([-_0^#]?)([a-zA-Z%])/g, (whole, flag: string, directive: string) => {
    const text = DIRECTIVES[directive]?.(time);
    if (text === undefined) return whole;
    if (flag === '-') return text.replace(/^[0 ]+(?=\d)/, '');
    if (flag === '_') return text.replace(/^0+(?=\d)/, (zeros) => ' '.repeat(zeros.length));
    if (flag === '0') return text.replace(/^ +/, (spaces) => '0'.repeat(spaces.length));
    return flag === '^' ? text.toUpperCase() : text;
  });
}

const two = (value: number): string => String(value).padStart(2, '0');
const spaced = (value: number): string => String(value).padStart(2, ' ');
const hour12 = (time: Date): number => time.getHours() % 12 || 12;

function dayOfYear(time: Date): number {
  const begin = Date.UTC(time.getFullYear(), 0, 1);
  return Math.round((Date.UTC(time.getFullYear(), time.getMonth(), time.getDate()) - begin) / DAY_MS);
}

/** Weeks that begin on `firstDay`; the days before the first one are week 0. */
function weekOfYear(time: Date, firstDay: number): number {
  const sinceFirst = (time.getDay() - firstDay + 7) % 7;
  return Math.floor((dayOfYear(time) + 7 - sinceFirst) / 7);
}

/** ISO 8601: the week that holds the year's first Thursday is week 1. */
function isoWeek(time: Date): { year: number; week: number } {
  const thursday = new Date(time.getFullYear(), time.getMonth(), time.getDate() + 4 - (time.getDay() || 7));
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}

const DIRECTIVES: Readonly<Record<string, (time: Date) => string>> = {
  a: (time) => (DAYS[time.getDay()] as string).slice(0, 3),
  A: (time) => DAYS[time.getDay()] as string,
  b: (time) => (MONTHS[time.getMonth()] as string).slice(0, 3),
  B: (time) => MONTHS[time.getMonth()] as string,
  c: (time) => formatTime('%a %b %e %H:%M:%S %Y', time),
  C: (time) => two(Math.floor(time.getFullYear() / 100)),
  d: (time) => two(time.getDate()),
  D: (time) => formatTime('%m/%d/%y', time),
  e: (time) => spaced(time.getDate()),
  f: (time) => String(time.getMilliseconds() * 1000).padStart(6, '0'),
  F: (time) => formatTime('%Y-%m-%d', time),
  g: (time) => two(isoWeek(time).year % 100),
  G: (time) => String(isoWeek(time).year),
  h: (time) => (MONTHS[time.getMonth()] as string).slice(0, 3),
  H: (time) => two(time.getHours()),
  I: (time) => two(hour12(time)),
  j: (time) => String(dayOfYear(time) + 1).padStart(3, '0'),
  k: (time) => spaced(time.getHours()),
  l: (time) => spaced(hour12(time)),
  m: (time) => two(time.getMonth() + 1),
  M: (time) => two(time.getMinutes()),
  n: () => '\n',
  p: (time) => (time.getHours() < 12 ? 'AM' : 'PM'),
  P: (time) => (time.getHours() < 12 ? 'am' : 'pm'),
  r: (time) => formatTime('%I:%M:%S %p', time),
  R: (time) => formatTime('%H:%M', time),
  s: (time) => String(Math.floor(time.getTime() / 1000)),
  S: (time) => two(time.getSeconds()),
  t: () => '\t',
  T: (time) => formatTime('%H:%M:%S', time),
  u: (time) => String(time.getDay() || 7),
  U: (time) => two(weekOfYear(time, 0)),
  V: (time) => two(isoWeek(time).week),
  w: (time) => String(time.getDay()),
  W: (time) => two(weekOfYear(time, 1)),
  x: (time) => formatTime('%m/%d/%y', time),
  X: (time) => formatTime('%H:%M:%S', time),
  y: (time) => two(time.getFullYear() % 100),
  Y: (time) => String(time.getFullYear()),
  // datetime.now() has no time zone.
  z: () => '',
  Z: () => '',
  '%': () => '%',
};
