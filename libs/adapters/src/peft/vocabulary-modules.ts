import type { BaseModel, BaseModule } from '#contracts/base-model.js';

export interface VocabularyModules {
  /** The input embedding. */
  readonly table: BaseModule | undefined;
  /** The output head. */
  readonly head: BaseModule | undefined;
}

/** The two modules that have a row per token; with tied embeddings they are one tensor. */
export function vocabularyModules({
  modules,
  vocabSize,
}: Pick<BaseModel, 'modules' | 'vocabSize'>): VocabularyModules {
  return {
    table: modules.find(({ kind, in: rows }) => kind === 'embedding' && rows === vocabSize),
    head: modules.findLast(({ kind, out: rows }) => kind === 'linear' && rows === vocabSize),
  };
}

export function isVocabularyModule(base: BaseModel, name: string): boolean {
  const { table, head } = vocabularyModules(base);
  return name === table?.name || name === head?.name;
}
