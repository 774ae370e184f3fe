import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '#safetensors/reader.js';
import { ROOT } from './stack.js';

/* GGUF files of the golden models, made as llama.cpp's conversion makes them (test/golden/make_gguf_models.py lists how). */

export type GgufValue =
  | readonly ['text', string]
  | readonly ['u32' | 'i32' | 'f32', number]
  | readonly ['bool', boolean]
  | readonly ['texts', readonly string[]]
  | readonly ['i32s' | 'f32s', readonly number[]];

export type GgufFields = Readonly<Record<string, GgufValue>>;

export interface GgufTensor {
  readonly name: string;
  /** Slowest first. */
  readonly shape: readonly number[];
  readonly type: 'F32' | 'F16' | 'BF16';
  readonly data: Buffer;
}

const TYPE_IDS = { F32: 0, F16: 1, BF16: 30 } as const;
const VALUE_IDS = { u32: 4, i32: 5, f32: 6, bool: 7, text: 8, array: 9 } as const;
const ALIGNMENT = 32;

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const textBytes = (value: string): Buffer =>
  Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const f32s = (values: readonly number[]): Buffer => Buffer.from(Float32Array.from(values).buffer);
const i32s = (values: readonly number[]): Buffer => Buffer.from(Int32Array.from(values).buffer);
const array = (kind: keyof typeof VALUE_IDS, count: number, data: Buffer): Buffer =>
  Buffer.concat([u32(VALUE_IDS.array), u32(VALUE_IDS[kind]), u64(count), data]);

function valueBytes([kind, value]: GgufValue): Buffer {
  switch (kind) {
    case 'text':
      return Buffer.concat([u32(VALUE_IDS.text), textBytes(value)]);
    case 'u32':
      return Buffer.concat([u32(VALUE_IDS.u32), u32(value)]);
    case 'i32':
      return Buffer.concat([u32(VALUE_IDS.i32), i32s([value])]);
    case 'f32':
      return Buffer.concat([u32(VALUE_IDS.f32), f32s([value])]);
    case 'bool':
      return Buffer.concat([u32(VALUE_IDS.bool), Buffer.from([value ? 1 : 0])]);
    case 'texts':
      return array('text', value.length, Buffer.concat(value.map(textBytes)));
    case 'i32s':
      return array('i32', value.length, i32s(value));
    case 'f32s':
      return array('f32', value.length, f32s(value));
  }
}

const padding = (size: number): Buffer => Buffer.alloc((ALIGNMENT - (size % ALIGNMENT)) % ALIGNMENT);

export function ggufFile(fields: GgufFields, tensors: readonly GgufTensor[]): Buffer {
  const header: Buffer[] = [
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(Object.keys(fields).length),
  ];
  for (const [key, value] of Object.entries(fields)) header.push(textBytes(key), valueBytes(value));
  let offset = 0;
  const data: Buffer[] = [];
  for (const { name, shape, type, data: bytes } of tensors) {
    header.push(
      textBytes(name),
      u32(shape.length),
      ...shape.toReversed().map(u64),
      u32(TYPE_IDS[type]),
      u64(offset),
    );
    const padded = padding(bytes.length);
    data.push(bytes, padded);
    offset += bytes.length + padded.length;
  }
  const start = Buffer.concat(header);
  return Buffer.concat([start, padding(start.length), ...data]);
}

interface Layout {
  readonly metadata: Readonly<Record<string, GgufValue>>;
  readonly tensors: Readonly<
    Record<
      string,
      { readonly from: readonly string[]; readonly pairedHeads?: number; readonly plusOne?: true }
    >
  >;
  readonly numbers: Readonly<Record<string, readonly number[]>>;
}

const LAYOUTS = JSON.parse(readFileSync(join(ROOT, 'test/golden/gguf/layouts.json'), 'utf8')) as Readonly<
  Record<string, Layout>
>;
export const GGUF_CASES: readonly string[] = Object.keys(LAYOUTS);

export interface GgufParts {
  readonly fields: GgufFields;
  readonly tensors: readonly GgufTensor[];
}

/** Of a golden case's model: matrices as its folder has them, vectors in float32. With its tokenizer where the folder has one. */
export function ggufOfCase(name: string): GgufParts {
  const layout = LAYOUTS[name];
  if (layout === undefined) throw new Error(`no layout of ${name}`);
  const folder = join(ROOT, 'test/golden', name, 'model');
  const stored = tensorsOf(folder);
  const tensors = Object.entries(layout.tensors).map(([to, { from, pairedHeads, plusOne }]): GgufTensor => {
    const parts = from.map((part) => {
      const found = stored.get(part);
      if (found === undefined) throw new Error(`${name} has no ${part}`);
      return found;
    });
    const { shape = [], type = 'F16' } = parts[0] ?? {};
    const data = Buffer.concat(parts.map((part) => part.data));
    const rows = pairedHeads === undefined ? data : inPairs(data, shape[0] ?? 0, pairedHeads);
    const stacked = parts.length > 1 ? [parts.length, ...shape] : shape;
    if (shape.length > 1) return { name: to, shape: stacked, type, data: rows };
    return {
      name: to,
      shape,
      type: 'F32',
      data: f32s(floats(rows, type).map((value) => value + (plusOne ? 1 : 0))),
    };
  });
  for (const [to, values] of Object.entries(layout.numbers))
    tensors.push({ name: to, shape: [values.length], type: 'F32', data: f32s(values) });
  return { fields: { ...layout.metadata, ...tokenizerFields(folder) }, tensors };
}

function tensorsOf(folder: string): Map<string, Omit<GgufTensor, 'name'>> {
  const found = new Map<string, Omit<GgufTensor, 'name'>>();
  for (const file of readdirSync(folder).filter((each) => each.endsWith('.safetensors'))) {
    const stored = readSafetensors(readFileSync(join(folder, file)));
    for (const { name, shape, dtype } of stored.header.tensors) {
      if (dtype !== 'F16' && dtype !== 'BF16') throw new Error(`${name} is in ${dtype}`);
      found.set(name, { shape, type: dtype, data: Buffer.from(stored.bytes(name) ?? []) });
    }
  }
  return found;
}

function floats(halves: Buffer, type: GgufTensor['type']): number[] {
  const bits = new Uint16Array(halves.buffer, halves.byteOffset, halves.length / 2);
  if (type === 'BF16') return [...new Float32Array(Uint32Array.from(bits, (value) => value << 16).buffer)];
  return Array.from(bits, (value) => {
    const exponent = (value >> 10) & 31;
    const fraction = (value & 1023) / 1024;
    const magnitude = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
    return value >> 15 === 0 ? magnitude : -magnitude;
  });
}

/** Rows of each head from halves to neighbours: 0, D/2, 1, D/2 + 1, ... */
function inPairs(data: Buffer, rows: number, heads: number): Buffer {
  const rowBytes = data.length / rows;
  const head = rows / heads;
  return Buffer.concat(
    Array.from({ length: rows }, (_, row) => {
      const inHead = row % head;
      const from = row - inHead + Math.floor(inHead / 2) + (inHead % 2) * (head / 2);
      return data.subarray(from * rowBytes, (from + 1) * rowBytes);
    }),
  );
}

interface TokenizerFile {
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (readonly string[])[];
  };
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
}

/** Of the golden cases' one kind of tokenizer: bytes cut as GPT-2 does. */
function tokenizerFields(folder: string): GgufFields {
  const names = readdirSync(folder);
  const ends: GgufFields = {
    'tokenizer.ggml.bos_token_id': ['u32', 0],
    'tokenizer.ggml.eos_token_id': ['u32', 1],
  };
  if (!names.includes('tokenizer.json')) return ends;
  const { model, added_tokens: added } = JSON.parse(
    readFileSync(join(folder, 'tokenizer.json'), 'utf8'),
  ) as TokenizerFile;
  const control = new Map(added.map(({ id, content }) => [id, content]));
  const texts = new Map([
    ...Object.entries(model.vocab).map(([text, id]) => [id, text] as const),
    ...control,
  ]);
  const size = Math.max(...texts.keys()) + 1;
  const tokens = Array.from({ length: size }, (_, id) => texts.get(id) ?? `[PAD${id}]`);
  const template = names.includes('chat_template.jinja')
    ? {
        'tokenizer.chat_template': [
          'text',
          readFileSync(join(folder, 'chat_template.jinja'), 'utf8'),
        ] as const,
      }
    : {};
  return {
    'tokenizer.ggml.model': ['text', 'gpt2'],
    'tokenizer.ggml.pre': ['text', 'gpt-2'],
    'tokenizer.ggml.tokens': ['texts', tokens],
    'tokenizer.ggml.token_type': [
      'i32s',
      tokens.map((_, id) => (control.has(id) ? 3 : texts.has(id) ? 1 : 5)),
    ],
    'tokenizer.ggml.merges': ['texts', model.merges.map((pair) => pair.join(' '))],
    ...ends,
    'tokenizer.ggml.padding_token_id': ['u32', 2],
    'tokenizer.ggml.add_bos_token': ['bool', false],
    ...template,
  };
}
