import type { ManifestModule } from '#contracts/adapter-manifest.js';
import type { AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { SafetensorsHeader, TensorInfo } from '#safetensors/header.js';
import { asNamedIn } from '../base-names.js';
import { parseTensorName, type TensorPart, withoutWrappers } from './tensor-names.js';
import { vocabularyModules } from './vocabulary-modules.js';

/*
 * An adapter that was trained after resize_token_embeddings has a vocabulary of its own: its embedding and its head have more
 * rows than the base's, or fewer. It is read as if the base had as many.
 */

/** How many tokens the adapter has, where it is not as many as the base and the engine can serve that. */
export function ownVocabulary(
  configJson: string,
  header: SafetensorsHeader,
  base: BaseModel,
): number | undefined {
  const sizes = vocabularySizes(header, asNamedIn(header, base).base);
  const [size] = sizes;
  const tokens = size ?? tokensOfIndices(configJson, base.vocabSize);
  if (sizes.size > 1 || tokens === undefined || tokens === base.vocabSize) return undefined;
  return vocabularyFault(tokens, base) === undefined ? tokens : undefined;
}

/** Why the base cannot be served with so many tokens, as the end of a sentence. */
export function vocabularyFault(
  tokens: number,
  { vocabSize, extraTokens, tokenizerSize = vocabSize }: BaseModel,
): string | undefined {
  if (extraTokens === undefined) return 'on this device the base is served with its own vocabulary alone';
  if (tokens < tokenizerSize) return `the base's tokenizer has ${tokenizerSize} tokens`;
  if (tokens <= vocabSize + extraTokens) return undefined;
  return `there is room for ${extraTokens} tokens beyond the base's (ADAPTER_EXTRA_TOKENS)`;
}

/** The base as it is with so many tokens. */
export function withVocabulary<B extends Pick<BaseModel, 'modules' | 'vocabSize'>>(
  base: B,
  tokens: number | undefined,
): B {
  if (tokens === undefined) return base;
  const { table, head } = vocabularyModules(base);
  const modules = base.modules.map((module) => {
    if (module === table) return { ...module, in: tokens };
    return module === head ? { ...module, out: tokens } : module;
  });
  return { ...base, modules, vocabSize: tokens };
}

/** Tokens beyond the base's without rows of their own, and what a single row cannot say. */
export function vocabularyProblems(
  modules: readonly ManifestModule[],
  base: BaseModel,
  own: BaseModel,
): AdapterProblem[] {
  const { table, head } = vocabularyModules(own);
  const problem = (message: string, module: string): AdapterProblem => ({
    code: 'vocabulary_resized',
    message: `The vocabulary was resized from ${base.vocabSize} to ${own.vocabSize} tokens: ${message}.`,
    module,
  });
  return [table, head].flatMap((vocabulary): AdapterProblem[] => {
    if (vocabulary === undefined) return [];
    const { name } = vocabulary;
    const change = modules.find(({ module }) => module === name);
    if (change?.magnitude && vocabulary === head)
      return [problem('DoRA on the output head cannot be served with it', name)];
    if (own.vocabSize < base.vocabSize) return [];
    if (vocabulary.bias || change?.lora?.loraBias)
      return [problem(`${name} has a bias, which added tokens cannot be served with`, name)];
    const missing = firstWithoutRow(change, base.vocabSize, own.vocabSize);
    if (missing === undefined) return [];
    const way = 'save_embedding_layers=True, modules_to_save, or trainable_token_indices';
    return [problem(`the file has no row of ${name} for token ${missing} (${way})`, name)];
  });
}

function firstWithoutRow(change: ManifestModule | undefined, from: number, to: number): number | undefined {
  if (change?.weight) return undefined;
  const rows = new Set(change?.tokenRows?.indices);
  for (let token = from; token < to; token++) if (!rows.has(token)) return token;
  return undefined;
}

const WEIGHTS: ReadonlySet<TensorPart> = new Set(['weight', 'base_layer.weight', 'original_module.weight']);

/** Each number of tokens that tensors of the embedding and the head are made for. */
function vocabularySizes(
  { tensors }: SafetensorsHeader,
  base: Pick<BaseModel, 'modules' | 'vocabSize'>,
): ReadonlySet<number> {
  const { table, head } = vocabularyModules(base);
  const names = new Set([table?.name, head?.name]);
  const isModule = (name: string): boolean => names.has(name);
  const sizeOf = ({ name, shape }: TensorInfo): number | undefined => {
    const parsed = parseTensorName(withoutWrappers(name), isModule);
    if (parsed === undefined || !names.has(parsed.module)) return undefined;
    if (WEIGHTS.has(parsed.part)) return shape[0];
    if (parsed.part === 'lora_embedding_A') return shape[1];
    return parsed.part === 'lora_B' && parsed.module === head?.name ? shape[0] : undefined;
  };
  return new Set(tensors.map(sizeOf).filter((size) => size !== undefined));
}

/** Rows of trainable_token_indices alone say at least how many tokens there are. */
function tokensOfIndices(configJson: string, vocabSize: number): number | undefined {
  const most = indicesOf(configJson).reduce((largest, index) => Math.max(largest, index), -1);
  return most >= vocabSize ? most + 1 : undefined;
}

/** What is wrong with the config is told by whoever reads it. */
function indicesOf(configJson: string): number[] {
  let config: unknown;
  try {
    config = JSON.parse(configJson);
  } catch {
    return [];
  }
  const given = (config as { trainable_token_indices?: unknown } | null)?.trainable_token_indices;
  const lists: unknown[] = Array.isArray(given) ? [given] : Object.values(given ?? {});
  return lists.flat().filter((index): index is number => Number.isSafeInteger(index));
}
