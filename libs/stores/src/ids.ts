import { randomBytes, randomInt } from 'node:crypto';

const VERSION = 0x7000;
/** The 12 bits behind the time count the ids of one millisecond; each begins low enough for 3072 more. */
const LAST_PLACE = 0xfff;
const FIRST_PLACES = 0x400;
let lastTime_ms = Number.NaN;
let lastPlace = 0;

/**
 * A UUID of version 7: its first 48 bits are the time in milliseconds, so ids sort by creation, those of one process
 * also within a millisecond, and a page of a list is one walk along the primary key.
 */
export function newId(now_ms: number = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now_ms, 0, 6);
  bytes.writeUInt16BE(VERSION | placeAt(now_ms), 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function placeAt(now_ms: number): number {
  lastPlace = now_ms === lastTime_ms ? Math.min(lastPlace + 1, LAST_PLACE) : randomInt(FIRST_PLACES);
  lastTime_ms = now_ms;
  return lastPlace;
}

/** The smallest id that `newId` gives at that time: ids from `a` until before `b` lie between the two. */
export function firstIdAt(time_ms: number): string {
  const hex = time_ms.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether `text` may be given to a column of type uuid. */
export function isId(text: string): boolean {
  return UUID.test(text);
}

/** An id as OpenAI writes its own: a prefix such as `file-`, and the 32 digits. */
export function publicId(prefix: string, id: string): string {
  return prefix + id.replaceAll('-', '');
}

/** The id behind a public one; undefined: it is none with that prefix. */
export function idBehind(prefix: string, text: string): string | undefined {
  const digits = text.startsWith(prefix) ? text.slice(prefix.length) : '';
  const parts = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/.exec(digits);
  return parts?.slice(1).join('-');
}
