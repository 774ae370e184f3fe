import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ManifestModule } from '#contracts/adapter-manifest.js';
import { readSafetensors } from '#safetensors/reader.js';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { readAdapter } from './read-adapter.js';

const golden = new URL('../../../../test/golden/', import.meta.url);
const MODELS: Readonly<Record<string, string>> = {
  gqa: 'cases/llama-gqa/model/',
  biased: 'peft-cases/biased/model/',
  tied: 'peft-cases/tied/model/',
  resized: 'peft-cases/resized/model/',
  'resized-tied': 'peft-cases/tied/model/',
};

/** One line per module: what of it comes from where, e.g. "0.q_proj lora 4:2 magnitude". */
function describeModule({ module, lora, magnitude, weight, bias, tokenRows }: ManifestModule): string {
  const short = module.replace(/^model\.(layers\.)?/, '').replace(/(self_attn|mlp)\./, '');
  const parts = [
    lora && `lora ${lora.rank}:${Number(lora.scale.toFixed(4))}${lora.loraBias ? ' lora_bias' : ''}`,
    magnitude && 'magnitude',
    weight && `weight from ${weight.name.replace('base_model.model.', '').replace('.weight', '')}`,
    bias && 'bias',
    tokenRows && `rows ${tokenRows.indices.length}`,
  ];
  return [short, ...parts.filter((part) => part)].join(' ');
}

function modulesOf(path: string): string[] {
  const [model = ''] = path.split('/');
  const folder = path.replace('/', '/adapters/');
  const reading = readAdapter({
    configJson: readFileSync(new URL(`peft-cases/${folder}/adapter_config.json`, golden), 'utf8'),
    header: readSafetensors(readFileSync(new URL(`peft-cases/${folder}/adapter_model.safetensors`, golden)))
      .header,
    base: llamaBase(new URL(`${MODELS[model]}config.json`, golden)),
    weights: { sha256: 'a'.repeat(64), bytes: 1 },
  });
  if (reading.verdict === 'rejected') return reading.report.errors.map(({ message }) => message);
  return reading.manifest.modules.map(describeModule);
}

const each = (layers: number[], names: string[], what: string) =>
  layers.flatMap((layer) => names.map((name) => `${layer}.${name} ${what}`));
const ATTENTION = ['q_proj', 'k_proj', 'v_proj', 'o_proj'];
const MLP = ['gate_proj', 'up_proj', 'down_proj'];
const NORMS = ['input_layernorm', 'post_attention_layernorm'];
const saved = (layer: number, name: string) => {
  const path = MLP.includes(name) ? `mlp.${name}` : name;
  return `${layer}.${name} weight from model.layers.${layer}.${path}`;
};
const EMBED = 'embed_tokens';

describe('a checkpoint that PEFT wrote', () => {
  it.each<[string, string[]]>([
    [
      'gqa/exclude-list',
      [
        ...each([0], ['q_proj', 'v_proj', 'o_proj'], 'lora 4:2'),
        ...each([1], ['q_proj', 'v_proj'], 'lora 4:2'),
        ...each([2], ['q_proj', 'v_proj', 'o_proj'], 'lora 4:2'),
      ],
    ],
    ['gqa/exclude-regex', each([0, 1, 2], [...ATTENTION, 'down_proj'], 'lora 2:2')],
    ['gqa/target-regex', each([0, 2], ['q_proj', 'v_proj', 'down_proj'], 'lora 4:2')],
    ['gqa/layers-pattern', ['0.o_proj lora 4:2', '1.q_proj lora 4:2', '1.down_proj lora 4:2']],
    [
      'gqa/save-norms',
      [
        ...[0, 1, 2].flatMap((layer) => [
          `${layer}.q_proj lora 2:2`,
          ...NORMS.map((name) => saved(layer, name)),
        ]),
        'norm weight from model.norm',
      ],
    ],
    [
      'gqa/save-mlp',
      [
        '0.q_proj lora 2:2',
        '0.up_proj lora 2:2',
        '1.q_proj lora 2:2',
        ...MLP.map((name) => saved(1, name)),
        '2.q_proj lora 2:2',
        '2.up_proj lora 2:2',
      ],
    ],
    ['gqa/dora-all', each([0, 1, 2], [...ATTENTION, ...MLP], 'lora 2:1.5 magnitude')],
    [
      'gqa/rslora-patterns',
      [
        ...[0, 1].flatMap((n) => [
          `${n}.q_proj lora 2:5.6569`,
          `${n}.v_proj lora 4:4`,
          `${n}.down_proj lora 4:2.5`,
        ]),
        '2.q_proj lora 6:3.266',
        '2.v_proj lora 4:1.5',
        '2.down_proj lora 4:2.5',
      ],
    ],
    ['gqa/lora-bias', each([0, 1, 2], ['q_proj', 'o_proj', 'gate_proj'], 'lora 4:2 lora_bias')],
    ['gqa/fan-in-fan-out-dora', each([0, 1, 2], ['v_proj', 'up_proj'], 'lora 4:2 magnitude')],
    ['biased/bias-lora-only', each([0, 1], ['q_proj', 'down_proj'], 'lora 4:2 bias')],
    [
      'biased/bias-all',
      [0, 1].flatMap((n) => [
        `${n}.q_proj lora 4:2 bias`,
        `${n}.k_proj bias`,
        `${n}.v_proj lora 4:2 bias`,
        ...['o_proj', ...MLP].map((name) => `${n}.${name} bias`),
      ]),
    ],
    ['biased/bias-dora-lora-only', each([0, 1], ['k_proj', 'up_proj'], 'lora 4:2 magnitude bias')],
    [
      'biased/lora-bias-and-all',
      [0, 1].flatMap((n) => [
        ...['q_proj', 'k_proj', 'v_proj'].map((name) => `${n}.${name} bias`),
        `${n}.o_proj lora 4:2 lora_bias bias`,
        ...MLP.map((name) => `${n}.${name} bias`),
      ]),
    ],
    ['biased/save-biased', [0, 1].flatMap((n) => [`${n}.q_proj lora 4:2`, `${saved(n, 'gate_proj')} bias`])],
    [
      'biased/dora-embeddings',
      [
        `${EMBED} lora 4:1.5 magnitude weight from model.embed_tokens.base_layer`,
        ...each([0, 1], ['q_proj'], 'lora 4:1.5 magnitude'),
        'lm_head lora 4:1.5 magnitude weight from lm_head.base_layer',
      ],
    ],
    ['biased/token-rows', [`${EMBED} rows 12`, ...each([0, 1], ['q_proj'], 'lora 4:2')]],
    [
      'biased/embedding-base-changed',
      [
        `${EMBED} lora 4:2 weight from model.embed_tokens.base_layer`,
        ...each([0, 1], ['v_proj'], 'lora 4:2'),
      ],
    ],
    [
      'biased/embedding-saved-beside',
      [
        `${EMBED} weight from model.embed_tokens`,
        ...each([0, 1], ['q_proj'], 'lora 4:2'),
        'lm_head weight from lm_head',
      ],
    ],
    [
      'biased/save-embeddings',
      [
        `${EMBED} weight from model.embed_tokens`,
        ...each([0, 1], ['v_proj'], 'lora 4:2'),
        'lm_head weight from lm_head',
      ],
    ],
    // With tied embeddings a saved base weight replaces both sides, a module in modules_to_save only its own.
    [
      'tied/lora-embed',
      [
        `${EMBED} lora 4:2 weight from model.embed_tokens.base_layer`,
        ...each([0, 1], ['q_proj'], 'lora 4:2'),
        'lm_head weight from model.embed_tokens.base_layer',
      ],
    ],
    [
      'tied/lora-head',
      [
        `${EMBED} weight from lm_head.base_layer`,
        ...each([0, 1], ['q_proj'], 'lora 4:2'),
        'lm_head lora 4:2 weight from lm_head.base_layer',
      ],
    ],
    [
      'tied/lora-embed-and-head',
      [
        `${EMBED} lora 4:2 weight from lm_head.base_layer`,
        ...each([0, 1], ['q_proj'], 'lora 4:2'),
        'lm_head lora 4:2 weight from lm_head.base_layer',
      ],
    ],
    [
      'tied/dora-embed-and-head',
      [
        `${EMBED} lora 4:2 magnitude weight from lm_head.base_layer`,
        'lm_head lora 4:2 magnitude weight from lm_head.base_layer',
      ],
    ],
    ['tied/save-head', [...each([0, 1], ['q_proj'], 'lora 4:2'), 'lm_head weight from lm_head']],
    ['tied/save-embed', [`${EMBED} weight from model.embed_tokens`, ...each([0, 1], ['q_proj'], 'lora 4:2')]],
    [
      'tied/save-head-lora-embed',
      [
        `${EMBED} lora 4:2 weight from model.embed_tokens.base_layer`,
        ...each([0, 1], ['q_proj'], 'lora 4:2'),
        'lm_head weight from lm_head',
      ],
    ],
    [
      'tied/embedding-saved-beside',
      [
        `${EMBED} weight from lm_head`,
        ...each([0, 1], ['q_proj'], 'lora 4:2'),
        'lm_head weight from lm_head',
      ],
    ],
    // After a resize of the vocabulary PEFT writes copies and originals beside what counts.
    [
      'resized/rows',
      [
        `${EMBED} weight from model.embed_tokens.token_adapter.base_layer rows 3`,
        '0.q_proj lora 4:2',
        'lm_head weight from lm_head',
      ],
    ],
    ['resized/rows-head', ['0.q_proj lora 4:2', 'lm_head rows 2']],
    [
      'resized/save-both',
      [`${EMBED} weight from model.embed_tokens`, '0.q_proj lora 4:2', 'lm_head weight from lm_head'],
    ],
    ['resized-tied/rows', [`${EMBED} rows 3`, ...each([0, 1], ['q_proj'], 'lora 4:2'), 'lm_head rows 3']],
    [
      'resized-tied/rows-both-differ',
      [`${EMBED} rows 2`, ...each([0, 1], ['q_proj'], 'lora 4:2'), 'lm_head rows 3'],
    ],
    [
      'resized-tied/save-embed-ensured',
      [
        `${EMBED} weight from lm_head`,
        ...each([0, 1], ['q_proj'], 'lora 4:2'),
        'lm_head weight from lm_head',
      ],
    ],
    [
      'resized-tied/save-embed-resized',
      [
        `${EMBED} weight from model.embed_tokens`,
        ...each([0, 1], ['q_proj'], 'lora 4:2'),
        'lm_head weight from lm_head',
      ],
    ],
    [
      'resized-tied/lora-head-ensured',
      [`${EMBED} lora 4:2`, ...each([0, 1], ['q_proj'], 'lora 4:2'), 'lm_head lora 4:2'],
    ],
    ['tied/all-linear', each([0, 1], [...ATTENTION, ...MLP], 'lora 4:2')],
  ])('%s becomes the manifest that computes the same', (path, expected) => {
    expect(modulesOf(path)).toEqual(expected);
  });
});
