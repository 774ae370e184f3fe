import type { z } from 'zod';

/** JSON may hold U+0000 in a text; PostgreSQL's text and jsonb cannot. */
export function storable<T extends z.ZodType>(schema: T): T {
  return schema.refine((value) => !holdsNul(value), 'expected text without U+0000');
}

export function holdsNul(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0');
  if (Array.isArray(value)) return value.some(holdsNul);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([name, member]) => name.includes('\0') || holdsNul(member));
}

const UNSTORABLE = /\0|\p{Surrogate}/gu;

/** The text as PostgreSQL takes it: without U+0000 and without halves of a surrogate pair, as cutting leaves them. */
export function asStorable(text: string): string {
  return text.replaceAll(UNSTORABLE, '\ufffd');
}
