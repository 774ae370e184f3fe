import type { ManifestModule } from '#contracts/adapter-manifest.js';
import type { AdapterProblem, AdapterReport, FieldReport } from '#contracts/adapter-report.js';
import { asStorable } from '#contracts/storable.js';

/** Of one code; an adapter for another base model would otherwise repeat itself thousands of times. */
const MAX_PROBLEMS_PER_CODE = 50;
const MAX_WARNINGS_PER_CODE = 20;
/** Rows of fields and tensors; `totals` says how many there are. */
const MAX_FIELDS = 500;
const MAX_TENSORS = 2_000;
const MAX_MESSAGE_CHARACTERS = 2_000;
const MAX_NAME_CHARACTERS = 500;

export interface ReportParts extends Pick<AdapterReport, 'errors' | 'warnings' | 'fields' | 'tensors'> {
  readonly modules: readonly ManifestModule[];
}
type Readonlyish<T> = { readonly [K in keyof T]: T[K] extends (infer U)[] ? readonly U[] : T[K] };

export function buildReport(parts: Readonlyish<ReportParts>): AdapterReport {
  const { errors, warnings, fields, tensors, modules } = parts;
  // The first error of a field stands last, so it is the one that the map keeps.
  const faulty = new Map(errors.toReversed().map((error) => [error.field, error]));
  return storable({
    verdict: errors.length === 0 ? 'accepted' : 'rejected',
    errors: limit(errors, MAX_PROBLEMS_PER_CODE),
    warnings: limit(warnings, MAX_WARNINGS_PER_CODE),
    fields: fields.slice(0, MAX_FIELDS).map((field) => refuseFaulty(field, faulty)),
    tensors: tensors.slice(0, MAX_TENSORS),
    totals: {
      errors: errors.length,
      warnings: warnings.length,
      fields: fields.length,
      tensors: tensors.length,
    },
    summary: {
      ranks: [...new Set(modules.flatMap(({ lora }) => lora?.rank ?? []))].sort((a, b) => a - b),
      modules: modules.length,
      parameters: countParameters(modules),
    },
  });
}

/** Texts as PostgreSQL takes them, whatever a hostile name or value holds, and none of them long. */
function storable(report: AdapterReport): AdapterReport {
  return JSON.parse(JSON.stringify(report), (key, value: unknown) => {
    if (typeof value === 'string') return cut(asStorable(value), key);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [asStorable(name), member]));
  }) as AdapterReport;
}

function cut(text: string, key: string): string {
  const most = key === 'message' || key === 'reason' ? MAX_MESSAGE_CHARACTERS : MAX_NAME_CHARACTERS;
  return key === 'value' || text.length <= most ? text : asStorable(`${text.slice(0, most)}...`);
}

/** A field that an error names is not honoured after all. */
function refuseFaulty(
  field: FieldReport,
  faulty: ReadonlyMap<string | undefined, AdapterProblem>,
): FieldReport {
  const error = field.treatment === 'refused' ? undefined : faulty.get(field.name);
  return error === undefined ? field : { ...field, treatment: 'refused', reason: error.message };
}

/** The first of each code; the last that is shown says how many more there are. */
function limit<T extends { readonly code: string; readonly message: string }>(
  problems: readonly T[],
  most: number,
): T[] {
  const counts = new Map<string, number>();
  for (const { code } of problems) counts.set(code, (counts.get(code) ?? 0) + 1);
  const kept = new Map<string, number>();
  return problems.flatMap((problem) => {
    const nth = (kept.get(problem.code) ?? 0) + 1;
    kept.set(problem.code, nth);
    if (nth > most) return [];
    const left = (counts.get(problem.code) ?? 0) - nth;
    if (nth < most || left === 0) return [problem];
    return [{ ...problem, message: `${problem.message.slice(0, 1_000)} And ${left} more of this kind.` }];
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
