import type { AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { HonouredFields } from './fields.js';
import { PythonRegex, type RegexBudget } from './python-regex.js';
import { PythonRegexError } from './python-regex-parser.js';
import { isPlainPattern, plainPatternEnds } from './plain-pattern.js';
import { vocabularyModules } from './vocabulary-modules.js';

/** The names by which PEFT knows that a config speaks of the embeddings. */
const EMBEDDING_NAMES = ['embed_tokens', 'lm_head'];

/** The config as PEFT rewrites it for ensure_weight_tying. */
export interface TiedConfig {
  readonly config: HonouredFields;
  /** What the input embedding and the output head have in common: saved weights, or a LoRA. */
  readonly tied: 'saved' | 'targets' | undefined;
  readonly warnings: readonly AdapterWarning[];
}

/** PEFT's _check_tied_modules: what is said of the embedding or of the head holds for both. */
export function applyWeightTying(config: HonouredFields, base: BaseModel, budget: RegexBudget): TiedConfig {
  const unchanged = { config, tied: undefined, warnings: [] };
  if (!config.ensure_weight_tying) return unchanged;
  const { table, head } = vocabularyModules(base);
  if (!base.tieWordEmbeddings || table === undefined || head === undefined) {
    return { ...unchanged, warnings: [ignored('the base model has no tied embeddings')] };
  }
  if (config.modules_to_save.some(isEmbeddingName)) {
    const others = withoutHead(config.modules_to_save, head.name);
    return {
      config: { ...config, modules_to_save: [...new Set([...others, table.name])] },
      tied: 'saved',
      warnings: [],
    };
  }
  if (targetsEmbedding(config.target_modules, budget)) return { config, tied: 'targets', warnings: [] };
  if (config.trainable_token_indices !== null) return unchanged;
  return { ...unchanged, warnings: [ignored('the adapter does not name the embeddings')] };
}

const isEmbeddingName = (name: string): boolean => EMBEDDING_NAMES.includes(name.split('.').at(-1) ?? '');

/** Without the first name that stands for the head: it follows the embedding. Dots match any character, as in PEFT. */
function withoutHead(names: readonly string[], head: string): string[] {
  const at = names.findIndex((name) => isPlainPattern(name) && plainPatternEnds(head, name));
  return at < 0 ? [...names] : names.toSpliced(at, 1);
}

function targetsEmbedding(wanted: HonouredFields['target_modules'], budget: RegexBudget): boolean {
  if (wanted === null) return false;
  if (Array.isArray(wanted)) return wanted.some(isEmbeddingName);
  try {
    const regex = new PythonRegex(wanted, budget);
    return EMBEDDING_NAMES.some((name) => regex.fullMatch(name));
  } catch (error) {
    if (error instanceof PythonRegexError) return false; // reported where the targets are matched
    throw error;
  }
}

function ignored(why: string): AdapterWarning {
  const message = `ensure_weight_tying has no effect: ${why}.`;
  return { code: 'weight_tying_ignored', message, field: 'ensure_weight_tying' };
}
