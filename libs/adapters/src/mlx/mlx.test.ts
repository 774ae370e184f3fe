import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readSafetensors } from '#safetensors/reader.js';
import { type TensorData, writeSafetensors } from '#safetensors/writer.js';
import { llamaBase } from '../../../../test/support/llama-base.js';
import { readMlxConfig } from './mlx-config.js';
import { convertedFile, planConversion } from './mlx-conversion.js';

const golden = new URL('../../../../test/golden/', import.meta.url);
const base = llamaBase(new URL('cases/llama-gqa/model/config.json', golden));
const CONFIG = { fine_tune_type: 'lora', num_layers: 3, lora_parameters: { rank: 8, scale: 2, dropout: 0 } };

const read = (name: string) =>
  readSafetensors(
    readFileSync(new URL(`cases/llama-gqa/adapters/${name}/adapter_model.safetensors`, golden)),
  );
const PEFT = read('qv-r8');

function transposed({ bytes, shape, ...tensor }: TensorData): TensorData {
  const [rows = 0, columns = 0] = shape;
  const width = bytes.length / (rows * columns);
  const result = new Uint8Array(bytes.length);
  for (let at = 0; at < rows * columns; at += 1) {
    const to = (at % columns) * rows + Math.floor(at / columns);
    result.set(bytes.subarray(at * width, (at + 1) * width), to * width);
  }
  return { ...tensor, shape: [columns, rows], bytes: result };
}

/** The golden adapter as MLX-LM would have saved it. */
const MLX = writeSafetensors(
  PEFT.header.tensors.map(({ name, dtype, shape }) => {
    const mlx = name
      .replace('base_model.model.', '')
      .replace(/lora_([AB])\.weight/, (_, x: string) => `lora_${x.toLowerCase()}`);
    return transposed({ name: mlx, dtype, shape, bytes: PEFT.bytes(name) ?? new Uint8Array() });
  }),
);
const header = readSafetensors(MLX).header;

describe("an adapter in MLX-LM's format", () => {
  it('becomes the file that PEFT wrote, byte for byte', async () => {
    const { adapter } = readMlxConfig(CONFIG, base);
    if (!adapter) throw new Error('refused');
    const plan = planConversion(adapter, header, base);
    if ('errors' in plan) throw new Error(JSON.stringify(plan.errors));
    const pieces: Uint8Array[] = [];
    for await (const piece of convertedFile(plan, async (begin, end) => MLX.subarray(begin, end)))
      pieces.push(piece);
    const result = readSafetensors(Buffer.concat(pieces));
    for (const { name, shape } of PEFT.header.tensors) {
      const found = result.header.tensors.find((tensor) => tensor.name === name);
      expect({ name, shape: found?.shape, bytes: result.bytes(name) }).toEqual({
        name,
        shape,
        bytes: PEFT.bytes(name),
      });
    }
    expect(JSON.parse(plan.configJson)).toMatchObject({ r: 8, lora_alpha: 16, use_dora: false });
  });

  it.each([
    ['more layers than the base', { ...CONFIG, num_layers: 4 }, 'num_layers'],
    ['a full fine-tune', { ...CONFIG, fine_tune_type: 'full' }, 'fine_tune_type'],
    ['a scale of no meaning', { ...CONFIG, lora_parameters: { rank: 8, scale: 'x' } }, 'lora_parameters'],
    [
      'an unknown parameter',
      { ...CONFIG, lora_parameters: { rank: 8, scale: 1, other: 1 } },
      'lora_parameters',
    ],
    [
      'a scale that versions of MLX-LM read differently',
      { lora_layers: 3, lora_parameters: { rank: 8, alpha: 16, scale: 10 } },
      'lora_parameters',
    ],
  ])('is refused for %s', (_, config, field) => {
    expect(readMlxConfig(config, base).errors.map((error) => error.field)).toContain(field);
  });

  it('is refused for tensors outside the last layers, which MLX-LM passes over', () => {
    const { adapter } = readMlxConfig({ ...CONFIG, num_layers: 2 }, base);
    if (!adapter) throw new Error('refused');
    const plan = planConversion(adapter, header, base);
    expect('errors' in plan && plan.errors[0]?.message).toContain('only the last 2 of 3');
  });
});
