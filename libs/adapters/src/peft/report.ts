import type { ManifestModule } from '#contracts/adapter-manifest.js';
import type { AdapterProblem, AdapterReport, FieldReport } from '#contracts/adapter-report.js';

/** Of one code; an adapter for another base model would otherwise repeat itself thousands of times. */
const MAX_PROBLEMS_PER_CODE = 50;

export interface ReportParts extends Pick<AdapterReport, 'errors' | 'warnings' | 'fields' | 'tensors'> {
  readonly modules: readonly ManifestModule[];
}
type Readonlyish<T> = { readonly [K in keyof T]: T[K] extends (infer U)[] ? readonly U[] : T[K] };

export function buildReport(parts: Readonlyish<ReportParts>): AdapterReport {
  return withoutNul({
    verdict: parts.errors.length === 0 ? 'accepted' : 'rejected',
    errors: limit(parts.errors),
    warnings: [...parts.warnings],
    fields: parts.fields.map((field) => refuseFaulty(field, parts.errors)),
    tensors: [...parts.tensors],
    summary: {
      ranks: [...new Set(parts.modules.flatMap(({ lora }) => lora?.rank ?? []))].sort((a, b) => a - b),
      modules: parts.modules.length,
      parameters: countParameters(parts.modules),
    },
  });
}

/** PostgreSQL's jsonb takes every character but NUL, which a hostile name or value may hold. */
function withoutNul<T>(value: T): T {
  const json = JSON.stringify(value);
  return json.includes('\\u0000') ? (JSON.parse(json, replaceNul) as T) : value;
}

function replaceNul(_key: string, value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('\0', '\ufffd');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key.replaceAll('\0', '\ufffd'), member]),
  );
}

/** A field that an error names is not honoured after all. */
function refuseFaulty(field: FieldReport, errors: readonly AdapterProblem[]): FieldReport {
  const error =
    field.treatment === 'refused' ? undefined : errors.find((error) => error.field === field.name);
  return error === undefined ? field : { ...field, treatment: 'refused', reason: error.message };
}

function limit(errors: readonly AdapterProblem[]): AdapterProblem[] {
  const counts = new Map<string, number>();
  for (const { code } of errors) counts.set(code, (counts.get(code) ?? 0) + 1);
  const kept = new Map<string, number>();
  return errors.flatMap((error) => {
    const nth = (kept.get(error.code) ?? 0) + 1;
    kept.set(error.code, nth);
    if (nth < MAX_PROBLEMS_PER_CODE) return [error];
    const left = (counts.get(error.code) ?? 0) - nth;
    if (nth > MAX_PROBLEMS_PER_CODE) return [];
    return [left === 0 ? error : { ...error, message: `${error.message} And ${left} more of this kind.` }];
  });
}

/** A tensor that two tied modules share counts once. */
function countParameters(modules: readonly ManifestModule[]): number {
  const elements = new Map<string, number>();
  for (const { lora, magnitude, weight, bias, tokenRows } of modules) {
    for (const tensor of [lora?.a, lora?.b, lora?.loraBias, magnitude, weight, bias, tokenRows?.rows]) {
      if (tensor)
        elements.set(
          tensor.name,
          tensor.shape.reduce((product, size) => product * size, 1),
        );
    }
  }
  return [...elements.values()].reduce((sum, count) => sum + count, 0);
}
