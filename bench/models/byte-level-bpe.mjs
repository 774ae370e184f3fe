/** GPT-2's printable character for each byte. @returns {string[]} [256] */
export function byteCharacters() {
  const direct = (/** @type {number} */ byte) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(direct(byte) ? byte : next++));
}

/** @typedef {{ tokens: string[], merges: [string, string][], bos: string, eos: string }} Vocabulary */

/**
 * A byte-level BPE of exactly `size` tokens: the bytes, then short words merged from pairs, then BOS and EOS. It is no
 * language's, but it encodes and decodes any text, in every program that knows GPT-2's scheme.
 * @param {number} size
 * @returns {Vocabulary}
 */
export function syntheticVocabulary(size) {
  const tokens = byteCharacters();
  const merges = [];
  for (const merge of mergePairs()) {
    if (tokens.length === size - 2) break;
    merges.push(merge);
    tokens.push(merge.join(''));
  }
  if (tokens.length !== size - 2) throw new Error(`a vocabulary of ${size} tokens is out of range`);
  const [bos, eos] = ['<|bos|>', '<|eos|>'];
  tokens.push(bos, eos);
  return { tokens, merges, bos, eos };
}

/** Each word arises from one pair only: two letters, a pair and a letter, two pairs. @returns {Generator<[string, string]>} */
function* mergePairs() {
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  const starts = ['Ġ', ...letters]; // Ġ is the space
  const pairs = starts.flatMap((a) => letters.map((b) => a + b));
  for (const pair of pairs) yield [pair[0] ?? '', pair[1] ?? ''];
  for (const pair of pairs) for (const letter of letters) yield [pair, letter];
  for (const left of pairs) for (const right of pairs) if (!right.startsWith('Ġ')) yield [left, right];
}

/** tokenizer.json of Hugging Face's tokenizers. @param {Vocabulary} vocabulary */
export function tokenizerJson({ tokens, merges, bos, eos }) {
  const special = (/** @type {string} */ content) => ({
    id: tokens.indexOf(content),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special(bos), special(eos)],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}
