import type { AdapterErrorCode, AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';
import type { HonouredFields } from './fields.js';
import { type VocabularyModules, vocabularyModules } from './vocabulary-modules.js';

const FIELD = 'trainable_token_indices';

/** Rows of a module's weight that the file replaces, one per token. */
export interface TokenRows {
  readonly indices: readonly number[];
  /** The module whose tensor holds them: with tied embeddings the head takes the input embedding's. */
  readonly tensorOf: string;
}

export interface ResolvedTokenRows {
  /** By module name. */
  readonly tokenRows: ReadonlyMap<string, TokenRows>;
  readonly errors: readonly AdapterProblem[];
}

/** trainable_token_indices: a list is about the input embedding; an object names modules by the end of their name. */
export function resolveTokenRows(config: HonouredFields, base: BaseModel): ResolvedTokenRows {
  const { trainable_token_indices: wanted } = config;
  const tokenRows = new Map<string, TokenRows>();
  if (wanted === null) return { tokenRows, errors: [] };
  const errors: AdapterProblem[] = [];
  const vocabulary = vocabularyModules(base);
  for (const [suffix, indices] of named(wanted, vocabulary)) {
    const hits = base.modules.filter(({ name }) => name.endsWith(suffix));
    const [module] = hits;
    const fault = hits.length === 1 && module ? unfit(module, vocabulary) : 'is not one module';
    if (fault !== undefined || module === undefined) {
      errors.push(problem('config_field_refused', `${JSON.stringify(suffix)} ${fault}.`));
      continue;
    }
    if (tokenRows.has(module.name))
      errors.push(problem('module_conflict', `names ${module.name} twice.`, module));
    errors.push(...checkIndices(indices, module));
    tokenRows.set(module.name, { indices, tensorOf: module.name });
  }
  if (base.tieWordEmbeddings) errors.push(...tie(tokenRows, vocabulary, config.ensure_weight_tying));
  return { tokenRows, errors };
}

function named(
  wanted: NonNullable<HonouredFields['trainable_token_indices']>,
  { table }: VocabularyModules,
): [string, readonly number[]][] {
  return Array.isArray(wanted) ? [[table?.name ?? 'embed_tokens', wanted]] : Object.entries(wanted);
}

function unfit({ name, bias }: BaseModule, { table, head }: VocabularyModules): string | undefined {
  if (name !== table?.name && name !== head?.name) {
    return 'is neither the input embedding nor the output head, the only modules whose rows can be replaced';
  }
  return bias ? 'has a bias, which PEFT leaves out when it replaces rows' : undefined;
}

/** Rows of a tied input embedding are the head's as well, unless the config gives the head others. */
function tie(
  rows: Map<string, TokenRows>,
  { table, head }: VocabularyModules,
  ensured: boolean,
): AdapterProblem[] {
  if (table === undefined || head === undefined) return [];
  const [ofTable, ofHead] = [rows.get(table.name), rows.get(head.name)];
  if (ofTable === undefined) return [];
  if (ofHead === undefined || sameNumbers(ofTable.indices, ofHead.indices)) {
    rows.set(head.name, ofTable);
    if (!head.bias) return [];
    const message = `${head.name} follows, and has a bias, which PEFT leaves out when it replaces rows.`;
    return [problem('config_field_refused', message, head)];
  }
  if (!ensured) return [];
  const message = 'PEFT refuses different indices for tied modules together with ensure_weight_tying.';
  return [problem('config_conflict', message, head)];
}

const sameNumbers = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((value, at) => value === b[at]);

function checkIndices(indices: readonly number[], module: BaseModule): AdapterProblem[] {
  const errors: AdapterProblem[] = [];
  const vocabulary = module.kind === 'embedding' ? module.in : module.out;
  const outside = indices.find((index) => index >= vocabulary);
  if (outside !== undefined) {
    errors.push(
      problem('token_index_invalid', `${outside} is beyond the vocabulary of ${vocabulary}.`, module),
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
