import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { AdapterReportSchema } from '#contracts/adapter-report.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { HonouredFieldsSchema, IGNORED_FIELDS, REFUSED_FIELDS } from '../peft/fields.js';
import { type Validation, validateAdapter } from './validate-adapter.js';

const golden = new URL('../../../../test/golden/peft-cases/tied/', import.meta.url);
const base = llamaBase(new URL('model/config.json', golden));
const WEIGHTS = 'adapter_model.safetensors';
const CONFIG = 'adapter_config.json';
const never = new AbortController().signal;

/** Blobs in memory: what is read of them is the subject. */
class MemoryBlobs {
  readonly #blobs = new Map<string, Buffer>();

  add(bytes: Buffer): BlobInfo {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    this.#blobs.set(sha256, bytes);
    return { sha256, bytes: bytes.length };
  }

  get(sha256: string): Buffer {
    return this.#blobs.get(sha256) ?? Buffer.alloc(0);
  }

  asStore(): BlobStore {
    const store: Pick<BlobStore, 'read' | 'open' | 'put'> = {
      read: (sha256) => Promise.resolve(this.get(sha256)),
      open: (sha256, range) =>
        Promise.resolve(Readable.from([this.get(sha256).subarray(range?.begin, range?.end)])),
      put: async (source) => this.add(Buffer.concat(await source.toArray())),
    };
    return store as BlobStore;
  }
}

interface Files {
  readonly config: string;
  readonly weights: Buffer;
  /** Further files by name. */
  readonly more?: Readonly<Record<string, string>>;
}
function adapter(name: string): { config: Record<string, unknown>; weights: Buffer } {
  const folder = new URL(`adapters/${name}/`, golden);
  return {
    config: JSON.parse(readFileSync(new URL(CONFIG, folder), 'utf8')) as Record<string, unknown>,
    weights: readFileSync(new URL(WEIGHTS, folder)),
  };
}

async function validate({ config, weights, more = {} }: Files): Promise<Validation> {
  const blobs = new MemoryBlobs();
  const files = new Map([
    [CONFIG, blobs.add(Buffer.from(config))],
    [WEIGHTS, blobs.add(weights)],
    ...Object.entries(more).map(([name, text]) => [name, blobs.add(Buffer.from(text))] as const),
  ]);
  return validateAdapter({
    files,
    leftOut: [],
    mustMatchBase: false,
    base,
    blobs: blobs.asStore(),
    signal: never,
  });
}

/** What is wrong with a verdict: a fault of ours, or a report that does not say where. */
async function fault(files: Files): Promise<string | undefined> {
  try {
    const { verdict, report } = await validate(files);
    AdapterReportSchema.parse(report);
    if ((report.errors.length === 0) !== (verdict === 'accepted'))
      return 'a report that contradicts its verdict';
    const unnamed = report.errors.find(
      ({ field, tensor, module }) => field === undefined && tensor === undefined && module === undefined,
    );
    if (unnamed && !NAMELESS.has(unnamed.code)) return `no name in ${JSON.stringify(unnamed)}`;
    const size = JSON.stringify(report).length;
    return size > 1_000_000 ? `a report of ${size} characters` : undefined;
  } catch (error) {
    return String((error as Error).stack).slice(0, 600);
  }
}
/** Of a file as a whole. */
const NAMELESS = new Set(
  [
    ['no_effect', 'weights_file_invalid', 'config_json_invalid', 'config_not_object'],
    ['generation_config_invalid', 'chat_template_invalid'],
  ].flat(),
);

async function faults(cases: Iterable<[string, Files]>): Promise<string[]> {
  const found: string[] = [];
  for (const [name, files] of cases) {
    const wrong = await fault(files);
    if (wrong !== undefined) found.push(`${name.slice(0, 200)}: ${wrong}`);
  }
  return found;
}

const many = <T>(count: number, item: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => item(i));
const deep = (levels: number, open: string, close: string, inner = '1') =>
  open.repeat(levels) + inner + close.repeat(levels);

/** As JSON, so that what no JavaScript value can say is among them. */
const VALUES: readonly string[] = [
  ['null', 'true', 'false', '0', '-0', '1', '-1', '2', '4', '8', '0.5', '-0.5', '4096', '4097', '1e6', '1e7'],
  [
    '2147483647',
    '2147483648',
    '4294967296',
    '9007199254740991',
    '9007199254740993',
    '1e15',
    '1e308',
    '1e309',
  ],
  [
    '1e-300',
    '5e-324',
    '1e-400',
    'NaN',
    'Infinity',
    '-Infinity',
    '""',
    '" "',
    '"\\u0000"',
    '"\\ud800"',
    '"\\n"',
  ],
  [
    '"q_proj"',
    '"all-linear"',
    '"ALL-LINEAR"',
    '".*"',
    '"("',
    '"(?i)x"',
    '"(a|a)*b"',
    '"[^\\\\d]+$"',
    '"\\\\1"',
    '"norm"',
  ],
  [
    '".*q_proj"',
    '"embed_tokens"',
    '"lm_head"',
    '"model"',
    '"layers"',
    '"__proto__"',
    '"constructor"',
    '"x{1,99999}"',
  ],
  [
    '"CAUSAL_LM"',
    '"LORA"',
    '"gaussian"',
    '"pissa_niter_4"',
    '"loftq"',
    '"LlamaForCausalLM"',
    '"none"',
    '"all"',
    '"lora_only"',
  ],
  [
    '[]',
    '[null]',
    '[0]',
    '[-1]',
    '[0,0]',
    '[1.5]',
    '[1e9]',
    '[[]]',
    '[[0,1]]',
    '[{}]',
    '[""]',
    '["q_proj"]',
    '["("]',
  ],
  [
    '["lm_head"]',
    '["embed_tokens"]',
    '["embed_tokens","lm_head"]',
    '["model.layers.0"]',
    '["norm"]',
    '["q_proj","q_proj"]',
  ],
  [
    '{}',
    '{"":1}',
    '{"q_proj":4}',
    '{"q_proj":0}',
    '{"q_proj":null}',
    '{"(":4}',
    '{".*":2}',
    '{"^":3}',
    '{"__proto__":4}',
  ],
  [
    '{"constructor":4}',
    '{"toString":[1]}',
    '{"embed_tokens":[0,1]}',
    '{"lm_head":[0]}',
    '{"embed_tokens":[]}',
    '{"a":{"b":1}}',
  ],
  [
    '{"base_model_class":1}',
    '{"base_model_class":"LlamaForCausalLM"}',
    '{"base_model_class":null,"parent_library":[]}',
  ],
  ['{"length":5}', '{"0":"q_proj"}', '{"q_proj":1e308}', '{"q_proj":"4"}', '{"x":1,"x":2}'],
  deep(60, '[', ']'),
  deep(70, '[', ']'),
  deep(15_000, '[', ']'),
  deep(60, '{"a":', '}'),
  deep(5_000, '{"a":', '}'),
  `"${'x'.repeat(100_000)}"`,
  `"${'(a?)'.repeat(5_000)}"`,
  `"${'('.repeat(20_000)}${')'.repeat(20_000)}"`,
  JSON.stringify(many(9_999, (i) => `module_${i}`)),
  JSON.stringify(many(20_000, (i) => `module_${i}`)),
  JSON.stringify(many(9_999, (i) => i)),
  JSON.stringify(Object.fromEntries(many(5_000, (i) => [`layer.${i}`, 4]))),
  '9'.repeat(400),
].flat();

/** Those that take long are tried where they mean something. */
const SHORT = VALUES.filter((value) => value.length < 1_000);
const LONG = VALUES.filter((value) => value.length >= 1_000);
const LONG_FIELDS = new Set<string>(
  [
    ['target_modules', 'exclude_modules', 'rank_pattern', 'modules_to_save', 'layers_to_transform'],
    ['trainable_token_indices', 'base_model_name_or_path', 'init_lora_weights', 'eva_config'],
  ].flat(),
);

const FIELDS = [
  Object.keys(HonouredFieldsSchema.shape),
  Object.keys(REFUSED_FIELDS),
  Object.keys(IGNORED_FIELDS),
  ['__proto__', 'constructor', 'hasOwnProperty', '', 'rank', 'x'.repeat(5_000)],
].flat();

/** A config's JSON with fields whose values are given as JSON. */
function configWith(config: Record<string, unknown>, fields: readonly (readonly [string, string])[]): string {
  const own = Object.entries(config).map(([name, value]) => [name, JSON.stringify(value)] as const);
  const all = new Map([...own, ...fields]);
  return `{${[...all].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`;
}

/** Numerical Recipes' generator: the same cases each time. */
function* random(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

const withEach = (field: string, of: { config: Record<string, unknown>; weights: Buffer }) =>
  [...SHORT, ...(LONG_FIELDS.has(field) ? LONG : [])].map((value): [string, Files] => [
    `${field}: ${value}`,
    { config: configWith(of.config, [[field, value]]), weights: of.weights },
  ]);

describe('whatever adapter_config.json holds, a version is ready or its report says where it is wrong', () => {
  it('with any value of any field', async () => {
    const whole = adapter('lora-embed-and-head');
    expect(await faults(FIELDS.flatMap((field) => withEach(field, whole)))).toEqual([]);
  }, 60_000); // some thousand cases, a few seconds on a quiet machine

  it.each(['all-linear', 'dora-embed-and-head', 'save-head-lora-embed'])(
    'with any value of a field that decides what the tensors of %s mean',
    async (name) => {
      const fields = ['target_modules', 'modules_to_save', 'use_dora', 'rank_pattern', 'ensure_weight_tying'];
      const whole = adapter(name);
      const cases = fields
        .flatMap((field) => withEach(field, whole))
        .filter(([, { config }]) => config.length < 9_000);
      expect(await faults(cases)).toEqual([]);
    },
  );

  it("with any value of MLX-LM's fields", async () => {
    const { weights } = adapter('all-linear');
    const mlx = {
      fine_tune_type: 'lora',
      num_layers: 2,
      model: 'x',
      lora_parameters: { rank: 8, scale: 20, dropout: 0, keys: ['self_attn.q_proj'] },
    };
    const { lora_parameters: inner, ...outer } = mlx;
    const cases = SHORT.flatMap((value): [string, Files][] => [
      ...Object.keys(mlx).map((field): [string, Files] => [
        `${field}: ${value}`,
        { config: configWith(mlx, [[field, value]]), weights },
      ]),
      ...Object.keys(inner).map((field): [string, Files] => {
        const changed = configWith(inner, [[field, value]]);
        return [`${field}: ${value}`, { config: configWith(outer, [['lora_parameters', changed]]), weights }];
      }),
    ]);
    expect(await faults(cases)).toEqual([]);
  });

  it('with any value of a field of the files beside it', async () => {
    const { config, weights } = adapter('all-linear');
    const fields = [
      'eos_token_id',
      'temperature',
      'top_p',
      'max_new_tokens',
      'do_sample',
      'num_beams',
      'stop_strings',
    ];
    const cases = SHORT.flatMap((value): [string, Files][] => [
      ...fields.map((field): [string, Files] => [
        `generation_config ${field}: ${value}`,
        {
          config: JSON.stringify(config),
          weights,
          more: { 'generation_config.json': `{"${field}":${value}}` },
        },
      ]),
      [
        `generation_config ${value}`,
        { config: JSON.stringify(config), weights, more: { 'generation_config.json': value } },
      ],
    ]);
    const templates = SHORT.filter((value) => !value.startsWith('"')).map((value): [string, Files] => [
      `chat_template ${value}`,
      {
        config: JSON.stringify(config),
        weights,
        more: { 'tokenizer_config.json': `{"chat_template":${value}}` },
      },
    ]);
    expect(await faults([...cases, ...templates])).toEqual([]);
  });

  it('with any values of several fields', async () => {
    const { config, weights } = adapter('lora-embed-and-head');
    const dice = random(1);
    const pick = <T>(of: readonly T[]): T => of[Math.floor((dice.next().value as number) * of.length)] as T;
    const short = SHORT.filter((value) => value.length < 200);
    const cases = many(1_500, (): [string, Files] => {
      const fields = many(
        2 + Math.floor((dice.next().value as number) * 4),
        () => [pick(FIELDS.slice(0, 21)), pick(short)] as const,
      );
      return [JSON.stringify(fields), { config: configWith(config, fields), weights }];
    });
    expect(await faults(cases)).toEqual([]);
  });
});

describe('whatever the header of the weights holds, a version is ready or its report says where it is wrong', () => {
  const { config, weights } = adapter('lora-embed-and-head');
  const headBytes = Number(weights.readBigUInt64LE(0));
  const head = JSON.parse(weights.subarray(8, 8 + headBytes).toString()) as Record<string, unknown>;
  const withHead = (text: string): Files => {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return {
      config: JSON.stringify(config),
      weights: Buffer.concat([length, bytes, weights.subarray(8 + headBytes)]),
    };
  };

  it('in any part of any tensor', async () => {
    const names = Object.keys(head).filter((name) => name !== '__metadata__');
    const parts = ['dtype', 'shape', 'data_offsets', 'extra'];
    const more = [
      '"F16"',
      '"BF16"',
      '"F64"',
      '"I8"',
      '"F8_E4M3"',
      '"f32"',
      '[0,0]',
      '[4,0]',
      '[0,8]',
      '[8,4,1]',
      '[-4,-8]',
      '[1e3,1e300]',
      '[9007199254740991,2]',
      '[0,9007199254740991]',
      '[8,0]',
      '["0","8"]',
    ];
    const cases = names.slice(0, 2).flatMap((name) =>
      [...parts.map((part) => [name, part] as const), ['__metadata__', 'format'] as const].flatMap(
        ([tensor, part]) =>
          [...SHORT, ...more].map((value): [string, Files] => {
            const entry = configWith((head[tensor] ?? {}) as Record<string, unknown>, [[part, value]]);
            return [`${tensor} ${part}: ${value}`, withHead(configWith(head, [[tensor, entry]]))];
          }),
      ),
    );
    expect(await faults(cases)).toEqual([]);
  });

  it('in place of any tensor, and of the header', async () => {
    const [first = ''] = Object.keys(head);
    const odd = [
      '',
      'x',
      '__proto__',
      'base_model.model.',
      '\u0000',
      'base_model.model.lm_head.lora_A.weight.weight',
      'y'.repeat(60_000),
    ];
    const cases = [
      ...VALUES.map((value): [string, Files] => [`header ${value}`, withHead(value)]),
      ...[first, '__metadata__'].flatMap((name) =>
        VALUES.map((value): [string, Files] => [
          `${name}: ${value}`,
          withHead(configWith(head, [[name, value]])),
        ]),
      ),
      ...odd.map((name): [string, Files] => [
        `a tensor ${name}`,
        withHead(configWith(head, [[name, '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}']])),
      ]),
    ];
    expect(await faults(cases)).toEqual([]);
  });
});
