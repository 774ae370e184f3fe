import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectModel } from '#native-engine/load.js';
import { goldenFolder } from '../support/golden-base.js';
import { ROOT } from '../support/stack.js';

const page = readFileSync(join(ROOT, 'docs/models.md'), 'utf8');
const section = (title: string) => page.split(`## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
const codes = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lorikeet-models-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Why a base with this config is refused; its weights are missing, so it always is. */
function refusalOf(change: object): string {
  const model = readFileSync(join(goldenFolder('llama-gqa'), 'model/config.json'), 'utf8');
  const { architectures: _, ...config } = JSON.parse(model) as Record<string, unknown>;
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...change }));
  try {
    inspectModel(folder);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('a folder without weights was taken');
}

/** A refusal names all that is implemented: `... is not implemented (a, b are)`. */
function implemented(refusal: string): string[] {
  const list = /not implemented \((.*) (?:is|are)\)/.exec(refusal)?.[1];
  if (list === undefined) throw new Error(`names nothing that is implemented: ${refusal}`);
  return list.split(', ');
}

describe('docs/models.md', () => {
  const rows = [...section('Families').matchAll(/^\| `(\w+)` \| (.*) \|$/gm)];

  it('lists the families that the engine reads', () => {
    const types = rows.filter(([, , classes]) => !classes?.includes('text part')).map(([, type]) => type);
    expect(types.toSorted()).toEqual(implemented(refusalOf({ model_type: 'frog' })).toSorted());
  });

  it('names the classes of each', () => {
    for (const [, model_type = '', classes = ''] of rows) {
      for (const name of codes(classes))
        expect(refusalOf({ model_type, architectures: [name] })).not.toMatch(/architecture/);
      expect(refusalOf({ model_type, architectures: ['FrogForCausalLM'] })).toMatch(/FrogForCausalLM/);
    }
  });

  it('lists the types of rotary embeddings', () => {
    const refusal = refusalOf({ rope_scaling: { rope_type: 'frog', factor: 2 }, rope_parameters: undefined });
    const listed = codes(section('Positions').split(':\n').at(-1) ?? '');
    expect(listed.toSorted()).toEqual(implemented(refusal).toSorted());
  });

  it('lists how weights can be kept', () => {
    const line = /\(`QUANTIZATION`\): (.*) \(/.exec(section('Weights'))?.[1] ?? '';
    const settings = readFileSync(join(ROOT, 'docs/settings.md'), 'utf8');
    const setting = /^\| `QUANTIZATION` .* kept: (.*?)\. A checkpoint/m.exec(settings)?.[1] ?? '';
    expect(codes(line)).toEqual(codes(setting));
  });
});
