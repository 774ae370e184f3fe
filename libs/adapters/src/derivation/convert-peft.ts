import type { SafetensorsHeader } from '#safetensors/header.js';
import { isMlxConfig } from '../mlx/mlx-config.js';
import type { Derived } from './compose.js';
import { DerivationRefused } from './derivation-refused.js';
import type { DerivedFile } from './derived-file.js';
import type { SourceVersion } from './source-version.js';

/** What came as MLX-LM writes it, as PEFT saves it; the numbers stay as they are. */
export async function convertToPeft(
  { source, header }: { readonly source: SourceVersion; readonly header: SafetensorsHeader },
  file: DerivedFile,
): Promise<Derived> {
  const { name, manifest, config } = source;
  if (!isMlxConfig(config)) throw new DerivationRefused(`${name} is in PEFT's form already.`);
  for (const { name: tensor, dtype, shape, begin, end } of header.tensors) {
    await file.add(tensor, dtype, shape, begin === end ? new Uint8Array() : await source.read(begin, end));
  }
  const modules = manifest.modules.flatMap(({ module, lora }) => (lora ? [{ module, lora }] : []));
  const [first] = modules;
  if (!first) throw new DerivationRefused(`${name} has no low-rank factors.`);
  const { rank, scale } = first.lora;
  return {
    config: {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: typeof config.model === 'string' ? config.model : null,
      inference_mode: true,
      r: rank,
      lora_alpha: scale * rank,
      target_modules: modules.map(({ module }) => module),
      lora_dropout: 0,
      bias: 'none',
      use_dora: manifest.modules.some(({ magnitude }) => magnitude),
    },
    result: {
      rank,
      relative_error: null,
      modules: modules.map(({ module, lora }) => ({ module, rank: lora.rank, relative_error: null })),
    },
  };
}
