import type { AdapterProblem, AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { HonouredFields } from './fields.js';
import { isWithin, modulePaths } from './module-paths.js';

const FIELD = 'modules_to_save';

export interface SavedModules {
  /** Modules with weights that the file replaces. */
  readonly saved: ReadonlySet<string>;
  readonly errors: readonly AdapterProblem[];
  readonly warnings: readonly AdapterWarning[];
}

/** modules_to_save, as PEFT's _set_trainable finds them. A container is replaced with all that is in it. */
export function resolveSavedModules(config: HonouredFields, base: BaseModel): SavedModules {
  const paths = modulePaths(base);
  const warnings: AdapterWarning[] = [];
  const found = new Set<string>();
  for (const wanted of config.modules_to_save) {
    // PEFT compares the end of the name, dot or not: "norm" also takes every layer's input_layernorm.
    const hits = paths.filter((path) => path.endsWith(wanted));
    for (const hit of hits) found.add(hit);
    if (hits.length > 0) continue;
    const message = `${FIELD}: ${JSON.stringify(wanted)} matches nothing.`;
    warnings.push({ code: 'name_unmatched', message, field: FIELD });
  }
  const outermost = [...found];
  const errors = outermost.flatMap((outer): AdapterProblem[] => {
    const inner = outermost.find((path) => path !== outer && isWithin(path, outer));
    if (inner === undefined) return [];
    const message = `${FIELD}: ${outer} contains ${inner}, and both match.`;
    return [{ code: 'module_conflict', message, field: FIELD, module: inner }];
  });
  const names = base.modules.map(({ name }) => name);
  const saved = new Set(names.filter((name) => outermost.some((container) => isWithin(name, container))));
  return { saved, errors, warnings };
}
