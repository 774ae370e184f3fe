import { z } from 'zod';

/*
 * What bytes a token stands for, by the decoder that tokenizer.json names. Two families:
 * - byte-level BPE (GPT-2, Llama 3, Qwen): each character of a token stands for one byte;
 * - SentencePiece (Llama 2, Mistral, Gemma): "▁" is a space, `<0x0A>` is a byte, all else is UTF-8.
 */

export type TokenToBytes = (token: string) => Uint8Array;

export interface TokenBytesRule {
  readonly toBytes: TokenToBytes;
  /** SentencePiece puts a space before the text; decoding from its start takes one away. */
  readonly stripsLeadingSpace: boolean;
}

const DecoderSchema = z.looseObject({
  type: z.string(),
  decoders: z.array(z.looseObject({ type: z.string() })).optional(),
});

class UnsupportedDecoderError extends Error {}

/** Reads the `decoder` member of tokenizer.json. */
export function tokenBytesRule(decoder: unknown): TokenBytesRule {
  const parsed = DecoderSchema.safeParse(decoder);
  if (!parsed.success) throw new UnsupportedDecoderError('tokenizer.json has no decoder');
  const steps = parsed.data.type === 'Sequence' ? (parsed.data.decoders ?? []) : [parsed.data];
  const types = steps.map((step) => step.type);
  const known = new Set(['ByteLevel', 'ByteFallback', 'Replace', 'Fuse', 'Strip', 'Metaspace']);
  const unknown = types.filter((type) => !known.has(type));
  if (unknown.length > 0) {
    throw new UnsupportedDecoderError(
      `tokenizer.json has a decoder of a kind not supported: ${unknown.join(', ')}`,
    );
  }
  if (types.includes('ByteLevel')) return { toBytes: byteLevel, stripsLeadingSpace: false };
  const spaces = steps.map(spaceMark).filter((mark) => mark !== undefined);
  return {
    toBytes: sentencePiece(types.includes('ByteFallback'), spaces),
    stripsLeadingSpace: steps.some(stripsLeadingSpace),
  };
}

type Step = Readonly<Record<string, unknown>> & { readonly type: string };

/** The text that stands for a space. */
function spaceMark(step: Step): string | undefined {
  if (step.type === 'Metaspace') return typeof step.replacement === 'string' ? step.replacement : '▁';
  if (step.type !== 'Replace') return undefined;
  const pattern = (step.pattern as { String?: unknown } | undefined)?.String;
  if (typeof pattern !== 'string' || step.content !== ' ') {
    throw new UnsupportedDecoderError('tokenizer.json has a Replace decoder that is not the one for spaces');
  }
  return pattern;
}

function stripsLeadingSpace(step: Step): boolean {
  if (step.type === 'Metaspace') return step.prepend_scheme !== 'never' && step.add_prefix_space !== false;
  return step.type === 'Strip' && step.content === ' ' && step.start === 1;
}

const encoder = new TextEncoder();

function sentencePiece(byteFallback: boolean, spaceMarks: readonly string[]): TokenToBytes {
  return (token) => {
    const byte = byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined;
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
    return encoder.encode(spaceMarks.reduce((text, mark) => text.replaceAll(mark, ' '), token));
  };
}

/** GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for characters from U+0100 on, in order. */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    map.set(String.fromCodePoint(printable ? byte : next++), byte);
  }
  return map;
})();

/** A token with a character outside the alphabet (an added token with a space, say) is taken as it is written. */
function byteLevel(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) return encoder.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
