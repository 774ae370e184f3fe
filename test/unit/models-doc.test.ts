import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectModel } from '#native-engine/load.js';
import { PRE_TOKENIZER_NAMES } from '#serving/checkpoint/gguf-pre-tokenizers.js';
import { type GgufFields, ggufFile } from '../support/gguf-file.js';
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

  it('lists what is read of GGUF files', () => {
    const path = join(folder, 'x.gguf');
    const refusal = (fields: GgufFields, type?: number): string => {
      const tensor = { name: 'x', shape: [256], type: 'F32', data: Buffer.alloc(1024) } as const;
      const bytes = ggufFile({ 'general.architecture': ['text', 'frog'], ...fields }, [tensor]);
      // The type of the one tensor stands before its offset, which is 0.
      if (type !== undefined) bytes.writeUInt32LE(type, bytes.indexOf(Buffer.from([1, 0, 0, 0, 0, 1])) + 12);
      writeFileSync(path, bytes);
      try {
        return String(inspectModel(path));
      } catch (error) {
        return (error as Error).message.replace('in GGUF ', '');
      }
    };
    const item = (title: string): string =>
      section('GGUF').split(`- **${title}**`)[1]?.split('\n- ')[0] ?? '';
    expect(codes(item('Architectures')).slice(1)).toEqual(implemented(refusal({})));
    expect(codes(item('Types'))).toEqual(implemented(refusal({}, 16)));
    expect(codes(item('Tokenizers').split('these cuts')[1]?.split(': ')[1] ?? '').slice(0, -1)).toEqual(
      PRE_TOKENIZER_NAMES,
    );
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
