import type { AdapterErrorCode, AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';
import type { HonouredFields } from './fields.js';

const FIELD = 'trainable_token_indices';

export interface TokenRows {
  /** Rows that the file replaces, by module name. */
  readonly tokenRows: ReadonlyMap<string, readonly number[]>;
  readonly errors: readonly AdapterProblem[];
}

/** trainable_token_indices: a list is about the input embedding; an object names modules by the end of their name. */
export function resolveTokenRows(config: HonouredFields, base: BaseModel): TokenRows {
  const { trainable_token_indices: wanted } = config;
  const tokenRows = new Map<string, readonly number[]>();
  if (wanted === null) return { tokenRows, errors: [] };
  if (base.tieWordEmbeddings) {
    const message =
      'with tied embeddings PEFT replaces rows of the output head, too, which is not supported.';
    return { tokenRows, errors: [problem('config_field_refused', message)] };
  }
  const errors: AdapterProblem[] = [];
  const bySuffix = Array.isArray(wanted) ? { embed_tokens: wanted } : wanted;
  for (const [suffix, indices] of Object.entries(bySuffix)) {
    const hits = base.modules.filter(({ name }) => name.endsWith(suffix));
    const [module] = hits;
    if (hits.length !== 1 || module?.kind !== 'embedding') {
      const message = `${JSON.stringify(suffix)} is not the input embedding, the only module whose rows can be replaced.`;
      errors.push(problem('config_field_refused', message));
      continue;
    }
    if (tokenRows.has(module.name))
      errors.push(problem('module_conflict', `names ${module.name} twice.`, module));
    errors.push(...checkIndices(indices, module));
    tokenRows.set(module.name, indices);
  }
  return { tokenRows, errors };
}

function checkIndices(indices: readonly number[], module: BaseModule): AdapterProblem[] {
  const errors: AdapterProblem[] = [];
  const outside = indices.find((index) => index >= module.in);
  if (outside !== undefined) {
    errors.push(
      problem('token_index_invalid', `${outside} is beyond the vocabulary of ${module.in}.`, module),
    );
  }
  const seen = new Set<number>();
  const twice = indices.find((index) => seen.size === seen.add(index).size);
  if (twice !== undefined) errors.push(problem('token_index_invalid', `${twice} occurs twice.`, module));
  return errors;
}

function problem(code: AdapterErrorCode, message: string, module?: BaseModule): AdapterProblem {
  return { code, message: `${FIELD}: ${message}`, field: FIELD, ...(module && { module: module.name }) };
}
