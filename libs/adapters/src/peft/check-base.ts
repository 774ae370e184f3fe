import type { AdapterProblem, AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import { compareNames, contradicts } from './base-name.js';
import type { HonouredFields } from './fields.js';

export interface BaseCheck {
  readonly errors: readonly AdapterProblem[];
  readonly warnings: readonly AdapterWarning[];
}

/**
 * Whether the config says that the adapter is of another model than the base that is served. A name alone is a warning,
 * as names differ more than models do, unless `mustMatch`.
 */
export function checkBase(
  config: Pick<HonouredFields, 'auto_mapping' | 'base_model_name_or_path'>,
  base: Pick<BaseModel, 'name' | 'knownAs' | 'architecture'>,
  mustMatch: boolean,
): BaseCheck {
  const errors = checkClass(config, base);
  const field = 'base_model_name_or_path';
  const name = config.base_model_name_or_path;
  const names = [base.name, ...(base.knownAs ?? [])];
  const comparison = compareNames(name, names);
  const [expected, found] = [[...new Set(names)].join(' or '), name ?? 'nothing'];
  if (mustMatch && comparison !== 'same') {
    const message =
      comparison === 'other'
        ? `${field}: the adapter is of ${found}, and this upload requires the base that is served, ${expected}.`
        : `${field}: ${JSON.stringify(name)} does not say of which model the adapter is, and this upload requires the base that is served, ${expected}.`;
    return {
      errors: [...errors, { code: 'base_model_mismatch', message, field, expected, found }],
      warnings: [],
    };
  }
  if (comparison !== 'other') return { errors, warnings: [] };
  const message = `${field}: the adapter is of ${found}, the base that is served is ${expected}.`;
  return { errors, warnings: [{ code: 'base_model_differs', message, field }] };
}

function checkClass(
  { auto_mapping }: Pick<HonouredFields, 'auto_mapping'>,
  { architecture }: Pick<BaseModel, 'architecture'>,
): AdapterProblem[] {
  const found = auto_mapping?.['base_model_class'];
  if (typeof found !== 'string' || !contradicts(found, architecture)) return [];
  const message = `auto_mapping: the adapter was trained on a ${found}, the base that is served is a ${architecture}.`;
  return [{ code: 'base_model_mismatch', message, field: 'auto_mapping', expected: architecture, found }];
}
