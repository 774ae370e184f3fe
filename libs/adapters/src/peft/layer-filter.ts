import type { AdapterErrorCode, AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { HonouredFields } from './fields.js';
import { isPlainPattern } from './plain-pattern.js';
import { PythonRegex, type RegexBudget } from './python-regex.js';

export interface LayerFilter {
  /** Whether layers_to_transform keeps a module that a suffix in target_modules has matched. */
  keeps(name: string): boolean;
}

/** What PEFT takes for the list of layers when layers_pattern does not name it. */
const ANY_LAYER_LIST = /^.*?\.[^.]*\.(\d+)\./;
const FIRST_INDEX = /^(\d+)\./;

/** layers_to_transform and layers_pattern, as check_target_module_exists applies them. */
export function layerFilter(
  config: HonouredFields,
  base: BaseModel,
  budget: RegexBudget,
): LayerFilter | { problems: AdapterProblem[] } {
  const { layers_to_transform: layers, layers_pattern: pattern } = config;
  if (layers === null || (Array.isArray(layers) && layers.length === 0)) return { keeps: () => true };
  const wanted = new Set(Array.isArray(layers) ? layers : [layers]);
  const patterns = (typeof pattern === 'string' ? [pattern] : (pattern ?? [])).filter((name) => name !== '');
  const problems = [...checkLayers(wanted, base), ...checkPatterns(patterns)];
  if (problems.length > 0) return { problems };
  const indexOf = patterns.length === 0 ? anyLayerIndex : namedLayerIndex(patterns, budget);
  return {
    keeps: (name) => {
      const index = indexOf(name);
      return index !== undefined && wanted.has(index);
    },
  };
}

/** PEFT passes over a layer that is not there; an adapter that names one was made for another model. */
function checkLayers(wanted: ReadonlySet<number>, base: BaseModel): AdapterProblem[] {
  return [...wanted]
    .filter((index) => index >= base.numLayers)
    .map((index) =>
      problem(
        'target_not_in_base',
        'layers_to_transform',
        `layer ${index} of a model with ${base.numLayers}.`,
      ),
    );
}

function checkPatterns(patterns: readonly string[]): AdapterProblem[] {
  return patterns
    .filter((name) => !isPlainPattern(name))
    .map((name) =>
      problem(
        'regex_unsupported',
        'layers_pattern',
        `only plain names are supported, not ${JSON.stringify(name)}.`,
      ),
    );
}

function anyLayerIndex(name: string): number | undefined {
  const digits = ANY_LAYER_LIST.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** `(?:^|.*?\.){pattern}\.(?P<idx>\d+)\.` for each pattern in turn; a plain name has one length, so there is one index. */
function namedLayerIndex(
  patterns: readonly string[],
  budget: RegexBudget,
): (name: string) => number | undefined {
  // A dot in the name is a regular expression's, which takes any character.
  const regexes = patterns.map((pattern) => ({
    regex: new PythonRegex(pattern, budget),
    length: pattern.length,
  }));
  return (name) => {
    const starts = [0, ...[...name.matchAll(/\./g)].map((dot) => dot.index + 1)];
    for (const { regex, length } of regexes) {
      for (const start of starts) {
        if (name[start + length] !== '.' || !regex.fullMatch(name.slice(start, start + length))) continue;
        const digits = FIRST_INDEX.exec(name.slice(start + length + 1))?.[1];
        if (digits !== undefined) return Number(digits);
      }
    }
    return undefined;
  };
}

function problem(code: AdapterErrorCode, field: string, message: string): AdapterProblem {
  return { code, message: `${field}: ${message}`, field };
}
