import type { BaseModel, BaseModule } from '#contracts/base-model.js';

export interface VocabularyModules {
  /** The input embedding. */
  readonly table: BaseModule | undefined;
  /** The output head. */
  readonly head: BaseModule | undefined;
}

type Vocabulary = Pick<BaseModel, 'modules' | 'vocabSize'>;

/** By the list of modules: it is asked of each of them, and experts make them thousands. */
const known = new WeakMap<Vocabulary['modules'], VocabularyModules & { readonly vocabSize: number }>();

/** The two modules that have a row per token; with tied embeddings they are one tensor. */
export function vocabularyModules({ modules, vocabSize }: Vocabulary): VocabularyModules {
  const before = known.get(modules);
  if (before?.vocabSize === vocabSize) return before;
  const found = {
    vocabSize,
    table: modules.find(({ kind, in: rows }) => kind === 'embedding' && rows === vocabSize),
    head: modules.findLast(({ kind, out: rows }) => kind === 'linear' && rows === vocabSize),
  };
  known.set(modules, found);
  return found;
}

export function isVocabularyModule(base: BaseModel, name: string): boolean {
  const { table, head } = vocabularyModules(base);
  return name === table?.name || name === head?.name;
}
