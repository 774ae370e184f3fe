import { UsageError } from './faults.js';

/** The operands and options of one call, read as what they must be. */
export class Values {
  constructor(
    private readonly operands: Readonly<Record<string, string>>,
    private readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>,
  ) {}

  operand(name: string): string {
    const value = this.operands[name];
    if (value === undefined) throw new Error(`the command has no operand ${name}`);
    return value;
  }

  optionalOperand(name: string): string | undefined {
    return this.operands[name];
  }

  text(name: string): string | undefined {
    const value = this.options[name];
    return typeof value === 'string' ? value : undefined;
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw new UsageError(`--${name} is required`);
    return value;
  }

  flag(name: string): boolean {
    return this.options[name] === true;
  }

  list(name: string): readonly string[] {
    const value = this.options[name];
    return Array.isArray(value) ? (value as readonly string[]) : [];
  }

  integer(name: string, range: { min: number; max?: number }): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : readInteger(`--${name}`, text, range);
  }

  number(name: string, { min, max }: { min: number; max: number }): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() !== '' && value >= min && value <= max) return value;
    throw new UsageError(`--${name}: expected a number from ${min} to ${max}, got "${text}"`);
  }
}

export function readInteger(
  what: string,
  text: string,
  { min, max = Number.MAX_SAFE_INTEGER }: { min: number; max?: number },
): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  const upTo = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
  throw new UsageError(`${what}: expected a whole number ${upTo}, got "${text}"`);
}

/** `name@3`, as a version is written everywhere. */
export function readVersion(text: string): { readonly adapter: string; readonly version: number } {
  const match = /^([^@:/]+)@(\d{1,9})$/.exec(text);
  if (!match?.[1] || !match[2])
    throw new UsageError(`expected ADAPTER@VERSION, e.g. support-bot@3, got "${text}"`);
  return { adapter: match[1], version: Number(match[2]) };
}

/** `key=value`, as many as there are. */
export function readPairs(what: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new UsageError(`${what}: expected KEY=VALUE, got "${text}"`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
