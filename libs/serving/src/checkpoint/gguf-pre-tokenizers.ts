/*
 * What `tokenizer.ggml.pre` stands for: how text is cut before byte-level BPE, as the tokenizer.json of the models that were
 * given this name has it. A name that is not here is refused: another cut gives other tokens.
 */

export interface PreTokenizer {
  /** Steps before the bytes: a pattern whose matches stand alone, or single digits. */
  readonly steps: readonly ({ readonly split: string } | 'digits')[];
  /** GPT-2's own pattern, which the ByteLevel step knows. */
  readonly gpt2Pattern: boolean;
  /** A piece that is a token as a whole is that token, whatever the merges make of it. */
  readonly ignoresMerges: boolean;
  readonly nfc: boolean;
  /** A BOS before plain text where the file does not say. */
  readonly addsBos: boolean;
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const WORD = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
const LLAMA3 = String.raw`${CONTRACTIONS}|${WORD}|\p{N}{1,3}|${REST}`;
const QWEN2 = String.raw`${CONTRACTIONS}|${WORD}|\p{N}|${REST}`;
const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const BEFORE = String.raw`[^\r\n\p{L}\p{N}]?`;
const SLASHED_REST = String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const TEKKEN = String.raw`${BEFORE}${UPPER}*${LOWER}+|${BEFORE}${UPPER}+${LOWER}*|\p{N}|${SLASHED_REST}`;
const GPT4O =
  `${BEFORE}${UPPER}*${LOWER}+${CONTRACTIONS}?|${BEFORE}${UPPER}+${LOWER}*${CONTRACTIONS}?` +
  String.raw`|\p{N}{1,3}|${SLASHED_REST}`;

const plain = { gpt2Pattern: false, ignoresMerges: false, nfc: false, addsBos: false };
const gpt2: PreTokenizer = { ...plain, steps: [], gpt2Pattern: true };
const digitsAndGpt2: PreTokenizer = { ...gpt2, steps: ['digits'] };
const llama3: PreTokenizer = {
  ...plain,
  steps: [{ split: LLAMA3 }],
  ignoresMerges: true,
  addsBos: true,
};
const qwen2: PreTokenizer = { ...plain, steps: [{ split: QWEN2 }], nfc: true };

const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ['llama-bpe', llama3],
  ['llama3', llama3],
  ['llama-v3', llama3],
  ['smaug-bpe', { ...llama3, ignoresMerges: false, addsBos: false }],
  ['dbrx', { ...llama3, ignoresMerges: false, addsBos: false }],
  ['qwen2', qwen2],
  ['gpt-2', gpt2],
  ['phi-2', gpt2],
  ['olmo', { ...gpt2, nfc: true }],
  ['smollm', digitsAndGpt2],
  ['starcoder', digitsAndGpt2],
  ['refact', digitsAndGpt2],
  ['command-r', { ...digitsAndGpt2, nfc: true }],
  ['tekken', { ...plain, steps: [{ split: TEKKEN }], ignoresMerges: true, addsBos: true }],
  ['gpt-4o', { ...plain, steps: [{ split: GPT4O }] }],
]);

export function preTokenizerOf(name: string): PreTokenizer | undefined {
  return PRE_TOKENIZERS.get(name);
}

export const PRE_TOKENIZER_NAMES: readonly string[] = [...PRE_TOKENIZERS.keys()];
