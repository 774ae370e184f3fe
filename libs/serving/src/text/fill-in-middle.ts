import { AppError } from '#runtime/app-error.js';
import type { EncodedText } from './text-coder.js';
import type { Tokenizer } from './tokenizer.js';

/** How a family was trained to fill in the middle (Bavarian et al. 2022): the parts in their order. */
interface MiddleForm {
  readonly parts: readonly ('prefix' | 'suffix' | { readonly token: string })[];
}

const token = (name: string) => ({ token: name });
const prefixFirst = (prefix: string, suffix: string, middle: string): MiddleForm => ({
  parts: [token(prefix), 'prefix', token(suffix), 'suffix', token(middle)],
});

/** The first whose tokens are all in the vocabulary. */
const FORMS: readonly MiddleForm[] = [
  prefixFirst('<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'), // Qwen2.5 and later, CodeGemma
  prefixFirst('<fim_prefix>', '<fim_suffix>', '<fim_middle>'), // StarCoder, Granite, SmolLM
  prefixFirst('<fim-prefix>', '<fim-suffix>', '<fim-middle>'), // SantaCoder
  prefixFirst('<｜fim▁begin｜>', '<｜fim▁hole｜>', '<｜fim▁end｜>'), // DeepSeek-Coder and V3
  { parts: [token('[SUFFIX]'), 'suffix', token('[PREFIX]'), 'prefix'] }, // Codestral, Mistral's v3 tokenizers
];

/** A token that ends what was filled in where the model's own end token does not: the text goes on with the next file. */
const END_TOKENS = ['<|fim_pad|>', '<|file_sep|>', '<|file_separator|>', '<file_sep>', '<|repo_name|>'];

export interface Middle {
  readonly prefix: string;
  readonly suffix: string;
  readonly addSpecialTokens: boolean;
}

/** Tokens after which nothing more belongs into the middle. */
export function middleEnds(tokenizer: Tokenizer): readonly number[] {
  return [...tokenizer.idsOf(END_TOKENS)];
}

/** The prompt of a middle; what its texts spell is no control token. Throws AppError invalid_request. */
export async function encodeMiddle(
  tokenizer: Tokenizer,
  { prefix, suffix, addSpecialTokens }: Middle,
  limitTokens: number,
): Promise<EncodedText> {
  const form = FORMS.find(({ parts }) =>
    parts.every((part) => typeof part === 'string' || tokenizer.idOf(part.token) !== undefined),
  );
  if (form === undefined) {
    throw new AppError('invalid_request', {
      message: 'The model has no tokens for filling in the middle, so there can be no suffix.',
      param: 'suffix',
    });
  }
  const texts = { prefix, suffix };
  const begin = addSpecialTokens ? await leadingTokens(tokenizer) : [];
  const pieces = await Promise.all(
    form.parts.map(async (part) =>
      typeof part === 'string'
        ? [...(await tokenizer.encodeGuarded({ text: texts[part], respelled: true }, limitTokens)).ids]
        : [tokenizer.idOf(part.token) as number],
    ),
  );
  const ids = Int32Array.from([...begin, ...pieces.flat()]);
  const added = new Uint8Array(ids.length);
  return { ids, added };
}

/** What the tokenizer puts before any text. */
async function leadingTokens(tokenizer: Tokenizer): Promise<number[]> {
  const { ids, added } = await tokenizer.encode('a', true);
  const first = added.indexOf(0);
  return [...ids.subarray(0, Math.max(0, first))];
}
