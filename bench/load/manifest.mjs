import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** A safetensors file's header and where the tensors start; nothing else of it is read. @param {string} path */
function readHeader(path) {
  const file = openSync(path, 'r');
  const length = Buffer.alloc(8);
  readSync(file, length, 0, 8, 0);
  const text = Buffer.alloc(Number(length.readBigUInt64LE(0)));
  readSync(file, text, 0, text.length, 8);
  closeSync(file);
  return { header: JSON.parse(text.toString()), start: 8 + text.length };
}

/**
 * What the native engine loads of a LoRA or DoRA folder with one scale for all modules. The product's own reader of PEFT
 * folders is libs/adapters.
 * @param {string} folder @param {number} scale
 */
export function manifestOf(folder, scale) {
  const weightsPath = join(folder, 'adapter_model.safetensors');
  const { header, start } = readHeader(weightsPath);
  const tensor = (/** @type {string} */ name) => {
    const { dtype, shape, data_offsets: at } = header[name];
    return { name, dtype, shape, begin: start + at[0], end: start + at[1] };
  };
  const names = Object.keys(header).filter((name) => name.endsWith('.lora_A.weight'));
  const modules = names.map((name) => {
    const a = tensor(name);
    const prefix = name.slice(0, -'.lora_A.weight'.length);
    const magnitude = `${prefix}.lora_magnitude_vector`;
    return {
      module: prefix.slice('base_model.model.'.length),
      lora: { rank: a.shape[0], scale, a, b: tensor(`${prefix}.lora_B.weight`) },
      ...(magnitude in header ? { magnitude: tensor(magnitude) } : {}),
    };
  });
  return { weightsPath, modules };
}
