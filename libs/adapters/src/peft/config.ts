import type { z } from 'zod';
import type { AdapterProblem, FieldReport } from '#contracts/adapter-report.js';
import { asStorable } from '#contracts/storable.js';
import { parseStrictJson, StrictJsonError, type StrictJsonValue } from '#safetensors/strict-json.js';
import { checkConflicts } from './config-conflicts.js';
import {
  type HonouredField,
  type HonouredFields,
  HonouredFieldsSchema,
  IGNORED_FIELDS,
  isHonoured,
  isUnset,
  REFUSED_FIELDS,
} from './fields.js';
import { IS_LFS_POINTER, LFS_POINTER } from './file-kinds.js';
import { otherConfig, otherMethod } from './other-formats.js';

/** A LoRA's adapter_config.json holds a few kilobytes; one entry per module of a huge model stays far below this. */
const MAX_CONFIG_CHARACTERS = 1_000_000;
/** PEFT itself has about sixty. */
const MAX_CONFIG_FIELDS = 200;
/** Longer values are left out of the report. */
const MAX_REPORTED_CHARACTERS = 2000;

export interface ReadConfig {
  /** Absent when a field that is needed to go on is wrong. */
  readonly config: HonouredFields | undefined;
  readonly fields: readonly FieldReport[];
  readonly errors: readonly AdapterProblem[];
}

export function readConfig(json: string): ReadConfig {
  const parsed = parseJson(json);
  if ('error' in parsed) return { config: undefined, fields: [], errors: [parsed.error] };
  const kind = parsed.object['peft_type'];
  if (typeof kind === 'string' && kind !== 'LORA') return otherKind(kind);
  const foreign = kind === undefined ? otherConfig(parsed.object) : undefined;
  if (foreign) return { config: undefined, fields: [], errors: [foreign] };
  return new FieldReader(parsed.object).read();
}

function parseJson(json: string): { object: Record<string, unknown> } | { error: AdapterProblem } {
  if (json.length > MAX_CONFIG_CHARACTERS) {
    const message = `adapter_config.json is longer than ${MAX_CONFIG_CHARACTERS} characters.`;
    return { error: { code: 'config_json_invalid', message } };
  }
  if (json.startsWith(LFS_POINTER)) {
    return { error: { code: 'config_json_invalid', message: `adapter_config.json ${IS_LFS_POINTER}` } };
  }
  let value: StrictJsonValue;
  try {
    value = parseStrictJson(json);
  } catch (error) {
    if (!(error instanceof StrictJsonError)) throw error;
    const code = error.code === 'duplicate_key' ? 'config_duplicate_key' : 'config_json_invalid';
    const field = error.path[0];
    const message = `adapter_config.json: ${error.message}.`;
    return { error: { code, message, ...(field === undefined ? {} : { field }) } };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { error: { code: 'config_not_object', message: 'adapter_config.json is not a JSON object.' } };
  }
  const count = Object.keys(value).length;
  if (count > MAX_CONFIG_FIELDS) {
    const message = `adapter_config.json has ${count} fields; ${MAX_CONFIG_FIELDS} are allowed.`;
    return { error: { code: 'config_json_invalid', message } };
  }
  return { object: value };
}

/** The fields of another method mean nothing here, so nothing is said about them. */
function otherKind(kind: string): ReadConfig {
  const message = otherMethod(kind);
  const fields = [{ name: 'peft_type', treatment: 'refused' as const, value: kind, reason: message }];
  return {
    config: undefined,
    fields,
    errors: [{ code: 'peft_type_unsupported', message, field: 'peft_type' }],
  };
}

class FieldReader {
  private readonly fields: FieldReport[] = [];
  private readonly errors: AdapterProblem[] = [];

  constructor(private readonly object: Record<string, unknown>) {}

  read(): ReadConfig {
    const honoured: Partial<Record<HonouredField, unknown>> = {};
    for (const [name, value] of Object.entries(this.object)) {
      if (isHonoured(name)) honoured[name] = this.honour(name, value);
      else if (Object.hasOwn(REFUSED_FIELDS, name)) this.refuseWhenSet(name, value);
      else if (Object.hasOwn(IGNORED_FIELDS, name)) this.ignore(name, value);
      else this.unknown(name, value);
    }
    this.addDefaults();
    if (!('peft_type' in this.object)) {
      this.fail('peft_type', 'config_field_missing', 'peft_type is missing; expected "LORA".');
    }
    const whole = HonouredFieldsSchema.safeParse(honoured);
    const config = this.errors.some(isFatal) || !whole.success ? undefined : whole.data;
    if (config !== undefined) this.errors.push(...checkConflicts(config));
    this.fields.sort((a, b) => (a.name < b.name ? -1 : 1));
    return { config, fields: this.fields, errors: this.errors };
  }

  private honour(name: HonouredField, value: unknown): unknown {
    const ok = this.check(name, HonouredFieldsSchema.shape[name], value);
    this.row({ name, treatment: 'honoured' }, value);
    return ok ? value : undefined;
  }

  private refuseWhenSet(name: string, value: unknown): void {
    const rule = REFUSED_FIELDS[name];
    if (rule === undefined) return;
    if (isUnset(value)) {
      this.row({ name, treatment: 'ignored', reason: 'Not set.' }, value);
      return;
    }
    this.row({ name, treatment: 'refused', reason: rule.reason }, value);
    this.fail(name, 'config_field_refused', `${name}: ${rule.reason}`);
  }

  private ignore(name: string, value: unknown): void {
    const rule = IGNORED_FIELDS[name];
    if (rule === undefined) return;
    this.check(name, rule.schema, value);
    this.row({ name, treatment: 'ignored', reason: rule.reason }, value);
  }

  private unknown(name: string, value: unknown): void {
    const reason = 'No known PEFT release writes this field, so what it should change is unknown.';
    this.row({ name, treatment: 'refused', reason }, value);
    this.fail(name, 'config_field_unknown', `${name}: ${reason}`);
  }

  private check(name: string, schema: z.ZodType, value: unknown): boolean {
    const result = schema.safeParse(value);
    if (result.success) return true;
    const issue = deepest(result.error.issues);
    const code =
      issue.code === 'invalid_type' || issue.code === 'invalid_union'
        ? 'config_field_type'
        : 'config_field_value';
    const where = issue.path.length > 0 ? `${name}.${issue.path.join('.')}` : name;
    this.errors.push({ code, message: `${where}: ${issue.message}.`, field: name, found: show(value) });
    return false;
  }

  private addDefaults(): void {
    const defaults: [string, unknown][] = [
      ...Object.entries(HonouredFieldsSchema.shape)
        .filter(([name]) => name !== 'peft_type')
        .map(([name, schema]): [string, unknown] => [name, schema.parse(undefined)]),
      ...Object.entries(REFUSED_FIELDS).map(([name, rule]): [string, unknown] => [name, rule.default]),
      ...Object.entries(IGNORED_FIELDS).map(([name, rule]): [string, unknown] => [name, rule.default]),
    ];
    for (const [name, value] of defaults) {
      if (!(name in this.object)) this.row({ name, treatment: 'default' }, value);
    }
  }

  private row(row: FieldReport, value: unknown): void {
    const short = (JSON.stringify(value)?.length ?? 0) <= MAX_REPORTED_CHARACTERS;
    this.fields.push(short ? { ...row, value } : row);
  }

  private fail(field: string, code: AdapterProblem['code'], message: string): void {
    this.errors.push({ code, message, field });
  }
}

/** A union reports one list of issues per member; the one that got furthest into the value says most. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const [first] = issues;
  if (first === undefined) throw new Error('a failed parse has an issue');
  if (first.code !== 'invalid_union') return first;
  const inner = first.errors.map(deepest).sort((a, b) => b.path.length - a.path.length)[0];
  return inner === undefined || inner.path.length === 0
    ? first
    : { ...inner, path: [...first.path, ...inner.path] };
}

/** Wrong fields that are not needed to map the tensors leave the rest of the report possible. */
function isFatal(error: AdapterProblem): boolean {
  const wrong = error.code === 'config_field_type' || error.code === 'config_field_value';
  return (
    error.code === 'config_field_missing' || (wrong && error.field !== undefined && isHonoured(error.field))
  );
}

function show(value: unknown): string {
  return asStorable((JSON.stringify(value) ?? 'nothing').slice(0, 200));
}
