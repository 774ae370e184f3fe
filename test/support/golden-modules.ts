import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readAdapter } from '#adapters/peft/read-adapter.js';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { NativeModel } from '#native-engine/native.js';
import { readSafetensors } from '#safetensors/reader.js';

/** What ingestion makes of a golden adapter for a model that is open. */
export function modulesOf(
  folder: string,
  model: NativeModel,
  maxContext: number,
): AdapterManifest['modules'] {
  const {
    architecture,
    hiddenSize,
    numLayers,
    vocabSize,
    tieWordEmbeddings,
    modules,
    experts,
    unreadModules,
  } = model.description;
  const reading = readAdapter({
    configJson: readFileSync(join(folder, 'adapter_config.json'), 'utf8'),
    header: readSafetensors(readFileSync(join(folder, 'adapter_model.safetensors'))).header,
    base: {
      name: 'base',
      digest: 'b'.repeat(64),
      maxContext,
      quantization: 'none',
      architecture,
      hiddenSize,
      numLayers,
      vocabSize,
      tieWordEmbeddings,
      modules: [...modules],
      experts: [...experts],
      unreadModules: [...unreadModules],
    },
    weights: { sha256: 'a'.repeat(64), bytes: 1 },
  });
  if (reading.verdict === 'rejected') throw new Error(JSON.stringify(reading.report.errors));
  return reading.manifest.modules;
}
