import { z } from 'zod';

/** The most of each that one request may carry: docs/openai-compatibility.md lists them. */
export const MOST = {
  messages: 2_048,
  contentParts: 1_024,
  toolCalls: 128,
  tools: 128,
  stops: 64,
  stopCharacters: 1_024,
  stopTokens: 64,
  biases: 1_024,
  templateArguments: 64,
  documents: 256,
  badWords: 256,
  badWordCharacters: 256,
  allowedTokens: 262_144,
  /** Of a text to be counted, or to be made of them. */
  tokens: 262_144,
} as const;

/** `schema`, which checks no item of what holds more than `most`: a long list costs nothing but its refusal. */
export function bounded<T extends z.ZodType>(most: number, schema: T) {
  return z.preprocess((value: z.input<T>, context) => {
    const size = sizeOf(value);
    if (size <= most) return value;
    context.addIssue({ code: 'custom', message: `expected at most ${most}, got ${size}` });
    return z.NEVER;
  }, schema);
}

function sizeOf(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}

/**
 * A request's type without what `onlyKnown` says of members that are not its own (they are null), for code that makes
 * requests: an object with members beside nulls is no value of such a type in TypeScript's eyes.
 */
export type Made<T> = T extends readonly (infer Item)[]
  ? Made<Item>[]
  : T extends object
    ? { [Name in keyof T as string extends Name ? never : Name]: Made<T[Name]> }
    : T;

/** An object that takes no other members than its own, except as `null`: that says "not given" of whatever it names. */
export function onlyKnown<T extends z.ZodRawShape>(shape: T) {
  return z.object(shape).catchall(z.null({ error: 'is not a field of this request' }));
}
