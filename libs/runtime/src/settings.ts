import { z } from 'zod';

/** One setting as documented: `name` is the environment variable, `parse` reads its text. */
export interface Setting<T> {
  readonly name: string;
  readonly summary: string;
  /** What stands in the documentation as the default. */
  readonly defaultText: string;
  readonly secret: boolean;
  readonly schema: z.ZodType<T, string | undefined>;
}

export type SettingsOf<S extends Record<string, Setting<unknown>>> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

interface SettingText {
  readonly name: string;
  readonly summary: string;
  readonly defaultText?: string;
  readonly secret?: boolean;
}

/** Defines a setting whose schema starts from the variable's text (`undefined` when unset or empty). */
export function setting<T>(text: SettingText, schema: z.ZodType<T, string | undefined>): Setting<T> {
  return { defaultText: 'none', secret: false, ...text, schema };
}

/** All faults of the environment at once; `message` is what the operator reads. */
export class SettingsError extends Error {
  constructor(readonly faults: readonly string[]) {
    super(
      `${faults.length} setting${faults.length === 1 ? ' is' : 's are'} not valid:\n  ${faults.join('\n  ')}`,
    );
    this.name = 'SettingsError';
  }
}

/** Reads `settings` from `env`; throws SettingsError that lists every fault. */
export function parseSettings<S extends Record<string, Setting<unknown>>>(
  settings: S,
  env: Readonly<Record<string, string | undefined>>,
): SettingsOf<S> {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [key, { name, schema }] of Object.entries(settings)) {
    const text = env[name]?.trim() === '' ? undefined : env[name]?.trim();
    const result = schema.safeParse(text);
    if (result.success) values[key] = result.data;
    else faults.push(`${name}: ${result.error.issues.map((issue) => issue.message).join('; ')}`);
  }
  if (faults.length > 0) throw new SettingsError(faults);
  return values as SettingsOf<S>;
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** `512M`, `2GiB`, `1073741824` to bytes; undefined when it is none of these. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) return undefined;
  const bytes = Number(match[1]) * (UNIT_BYTES[(match[2] ?? '').toLowerCase()] ?? Number.NaN);
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : undefined;
}

/** Schemas from a variable's text. Each says what it expected. */
export const text = {
  string: (fallback: string) => z.string().default(fallback),
  optional: () => z.string().optional(),
  integer: (fallback: number, min: number, max: number) =>
    z
      .string()
      .default(String(fallback))
      .transform((value, context) => {
        const number = Number(value);
        if (Number.isInteger(number) && number >= min && number <= max) return number;
        context.addIssue(`expected a whole number from ${min} to ${max}, got "${value}"`);
        return z.NEVER;
      }),
  /** Whole days; undefined stands for `forever`. */
  days: (fallback: string) =>
    z
      .string()
      .default(fallback)
      .transform((value, context) => {
        if (value.toLowerCase() === 'forever') return undefined;
        const days = Number(value);
        if (Number.isInteger(days) && days >= 1 && days <= 36_500) return days;
        context.addIssue(`expected a whole number of days from 1 to 36500, or forever, got "${value}"`);
        return z.NEVER;
      }),
  bytes: (fallback: number) =>
    z
      .string()
      .default(String(fallback))
      .transform((value, context) => {
        const bytes = parseBytes(value);
        if (bytes !== undefined) return bytes;
        context.addIssue(`expected bytes such as 1073741824, 512M or 2G, got "${value}"`);
        return z.NEVER;
      }),
  boolean: (fallback: boolean) =>
    z
      .string()
      .default(String(fallback))
      .transform((value, context) => {
        if (['true', '1', 'yes', 'on'].includes(value.toLowerCase())) return true;
        if (['false', '0', 'no', 'off'].includes(value.toLowerCase())) return false;
        context.addIssue(`expected true or false, got "${value}"`);
        return z.NEVER;
      }),
  oneOf: <const V extends readonly [string, ...string[]]>(values: V, fallback: V[number]) =>
    z
      .string()
      .default(fallback)
      .transform((value, context): V[number] => {
        if (values.includes(value)) return value as V[number];
        context.addIssue(`expected one of ${values.join(', ')}, got "${value}"`);
        return z.NEVER;
      }),
  url: (fallback: string, protocols: readonly string[]) =>
    z
      .string()
      .default(fallback)
      .transform((value, context) => {
        if (URL.canParse(value) && protocols.includes(new URL(value).protocol)) return value;
        context.addIssue(`expected a URL that starts with ${protocols.join(' or ')}, got "${value}"`);
        return z.NEVER;
      }),
};
