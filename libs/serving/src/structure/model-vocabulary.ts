import { type Vocabulary, vocabularyOf } from '#grammar/thread/vocabulary.js';
import type { Tokenizer } from '../text/tokenizer.js';

export interface ModelTokens {
  readonly tokenizer: Pick<Tokenizer, 'size' | 'bytesOf' | 'isSpecial'>;
  /** Of the model's logits. */
  readonly vocabSize: number;
  readonly eosTokenIds: readonly number[];
  /** Special tokens that stand for their spelling: marks of calls and of reasoning. */
  readonly markTokens: ReadonlySet<number>;
}

/** The model's tokens as grammars know them. */
export function modelVocabulary({ tokenizer, vocabSize, eosTokenIds, markTokens }: ModelTokens): Vocabulary {
  const tokens = Array.from({ length: Math.min(tokenizer.size, vocabSize) }, (_, id) => {
    const bytes = tokenizer.bytesOf(id);
    const isText = bytes.length > 0 && (!tokenizer.isSpecial(id) || markTokens.has(id));
    return isText ? bytes : undefined;
  });
  return vocabularyOf(tokens, vocabSize, eosTokenIds);
}
