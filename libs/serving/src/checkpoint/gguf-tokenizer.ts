import type { GgufMetadata } from '#native-engine/native.js';
import { ModelError } from '../model-error.js';
import type { TokenizerSource } from '../text/tokenizer.js';
import { mergesOfScores } from './gguf-merges.js';
import { PRE_TOKENIZER_NAMES, preTokenizerOf } from './gguf-pre-tokenizers.js';
import { type GgufFields, type GgufToken, readFields, tokensOf, tokenText } from './gguf-vocabulary.js';

/*
 * A GGUF file's tokenizer as the tokenizer.json that the model's Hugging Face folder holds, so that both give the same tokens.
 * What the file does not say, and llama.cpp knows by the model's name, is here by the same names.
 */

/** Throws ModelError. */
export function ggufTokenizer(metadata: GgufMetadata): TokenizerSource {
  const fields = readFields(metadata);
  const tokens = tokensOf(fields);
  const specialTokens = specialTokensOf(fields);
  const whole = metadata['tokenizer.huggingface.json'];
  if (typeof whole === 'string') return { json: whole, specialTokens };
  const { addsBos, ...parts } = partsOf(fields, tokens);
  const strips = stripsAfter(metadata, fields);
  const json = JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: tokens.filter(isAdded).map(({ id, text, kind }) => ({
      id,
      content: text,
      single_word: false,
      lstrip: false,
      rstrip: kind === 'control' && strips(text),
      normalized: false,
      special: kind !== 'user-defined',
    })),
    ...parts,
    post_processor: postProcessor(fields, addsBos),
  });
  return { json, specialTokens };
}

function isAdded({ kind }: GgufToken): boolean {
  return kind === 'control' || kind === 'user-defined' || kind === 'unknown';
}

interface Parts {
  readonly normalizer: object | null;
  readonly pre_tokenizer: object | null;
  readonly decoder: object;
  readonly model: object;
  readonly addsBos: boolean;
}

function partsOf(fields: GgufFields, tokens: readonly GgufToken[]): Parts {
  if (fields.model === 'gpt2') return byteLevelParts(fields, tokens);
  if (fields.model === 'llama') return sentencePieceParts(fields, tokens);
  throw new ModelError(
    `tokenizer.ggml.model ${JSON.stringify(fields.model)} is not implemented (gpt2 and llama are)`,
  );
}

const vocabularyOf = (tokens: readonly GgufToken[]): Record<string, number> =>
  Object.fromEntries(tokens.map(({ id, text }) => [text, id]));

/** A merge is two tokens with a space between, which itself may begin the first. */
function mergesOf(merges: readonly string[]): [string, string][] {
  return merges.map((merge) => {
    const space = merge.indexOf(' ', 1);
    if (space < 0) throw new ModelError(`tokenizer.ggml.merges: ${JSON.stringify(merge)} is no pair`);
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
}

function byteLevelParts(fields: GgufFields, tokens: readonly GgufToken[]): Parts {
  const pre = preTokenizerOf(fields.pre ?? '');
  if (pre === undefined) {
    const given =
      fields.pre === undefined ? 'is missing' : `${JSON.stringify(fields.pre)} is not implemented`;
    throw new ModelError(
      `tokenizer.ggml.pre ${given} (${PRE_TOKENIZER_NAMES.join(', ')} are); serve the model's Hugging Face folder, or convert it again`,
    );
  }
  if (fields.merges === undefined) throw new ModelError('tokenizer.ggml.merges must be given');
  const bytes = {
    type: 'ByteLevel',
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: pre.gpt2Pattern,
  };
  const steps = pre.steps.map((step) =>
    step === 'digits'
      ? { type: 'Digits', individual_digits: true }
      : { type: 'Split', pattern: { Regex: step.split }, behavior: 'Isolated', invert: false },
  );
  return {
    normalizer: pre.nfc ? { type: 'NFC' } : null,
    pre_tokenizer: steps.length === 0 ? bytes : { type: 'Sequence', pretokenizers: [...steps, bytes] },
    decoder: { ...bytes, add_prefix_space: true, use_regex: true },
    model: {
      ...bpe(tokens, mergesOf(fields.merges)),
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoresMerges,
    },
    addsBos: pre.addsBos,
  };
}

function bpe(tokens: readonly GgufToken[], merges: [string, string][]) {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    vocab: vocabularyOf(tokens),
    merges,
  };
}

function sentencePieceParts(fields: GgufFields, tokens: readonly GgufToken[]): Parts {
  if (fields.precompiled_charsmap !== undefined)
    throw new ModelError('tokenizer.ggml.precompiled_charsmap is not implemented');
  if (fields.remove_extra_whitespaces === true)
    throw new ModelError('tokenizer.ggml.remove_extra_whitespaces true is not implemented');
  const prefix = fields.add_space_prefix ?? true;
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const unknown = tokenText(fields, 'unknown_token_id', fields.unknown_token_id ?? 0);
  return {
    normalizer: prefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, spaces] }
      : spaces,
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      ...bpe(tokens, sentencePieceMerges(fields, tokens)),
      unk_token: unknown,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
    },
    addsBos: true,
  };
}

function sentencePieceMerges(fields: GgufFields, tokens: readonly GgufToken[]): [string, string][] {
  if (fields.merges !== undefined) return mergesOf(fields.merges);
  const { scores } = fields;
  const pieces = tokens.filter(({ kind }) => kind === 'normal' || kind === 'user-defined');
  const known = new Set(pieces.filter(({ kind }) => kind === 'normal').map(({ id }) => scores?.[id]));
  if (scores === undefined || known.size < 2)
    throw new ModelError('tokenizer.ggml.scores must say which pieces are joined first: all are alike');
  return mergesOfScores(new Map(pieces.map(({ id, text }) => [text, { id, score: scores[id] ?? 0 }])));
}

/** Puts BOS and EOS around plain text. */
function postProcessor(fields: GgufFields, addsBos: boolean): object | null {
  const bos = (fields.add_bos_token ?? addsBos) ? idOf(fields, 'bos_token_id') : undefined;
  const eos = fields.add_eos_token === true ? idOf(fields, 'eos_token_id') : undefined;
  if (bos === undefined && eos === undefined) return null;
  const around = (sequence: string, type_id: number) => [
    ...special(bos, type_id),
    { Sequence: { id: sequence, type_id } },
    ...special(eos, type_id),
  ];
  const named = [bos, eos].filter((token) => token !== undefined);
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(
      named.map(({ id, text }) => [text, { id: text, ids: [id], tokens: [text] }]),
    ),
  };
}

type NamedToken = { readonly id: number; readonly text: string };

const special = (token: NamedToken | undefined, type_id: number): object[] =>
  token === undefined ? [] : [{ SpecialToken: { id: token.text, type_id } }];

/** What SentencePiece numbers where the file does not say. */
const SENTENCE_PIECE_IDS = { unknown_token_id: 0, bos_token_id: 1, eos_token_id: 2 } as const;

type IdField =
  | 'bos_token_id'
  | 'eos_token_id'
  | 'unknown_token_id'
  | 'padding_token_id'
  | 'seperator_token_id';

function idOf(fields: GgufFields, field: IdField): NamedToken | undefined {
  const usual = fields.model === 'llama' && field in SENTENCE_PIECE_IDS;
  const id =
    fields[field] ?? (usual ? SENTENCE_PIECE_IDS[field as keyof typeof SENTENCE_PIECE_IDS] : undefined);
  const text = tokenText(fields, field, id);
  return id === undefined || text === undefined ? undefined : { id, text };
}

function specialTokensOf(fields: GgufFields): Record<string, string> {
  const named = [
    ['bos_token', 'bos_token_id'],
    ['eos_token', 'eos_token_id'],
    ['unk_token', 'unknown_token_id'],
    ['pad_token', 'padding_token_id'],
    ['sep_token', 'seperator_token_id'],
  ] as const;
  return Object.fromEntries(
    named.flatMap(([name, field]) => {
      const token = idOf(fields, field);
      return token === undefined ? [] : [[name, token.text]];
    }),
  );
}

const PHI3_TURN = /^<\|(?!endoftext\|).*\|>$/;

/** Phi-3's turns swallow the white space behind them. */
function stripsAfter(metadata: GgufMetadata, { model }: GgufFields): (text: string) => boolean {
  const phi3 = metadata['general.architecture'] === 'phi3' && model === 'llama';
  return (text) => phi3 && (PHI3_TURN.test(text) || text === '</s>');
}
