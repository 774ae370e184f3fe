import type { SafetensorsHeader, TensorInfo } from './header.js';
import { SafetensorsValidator, type ValidatorLimits } from './validator.js';

/** A whole file in memory. */
export interface SafetensorsFile {
  readonly header: SafetensorsHeader;
  /** The tensor's bytes, little-endian: a view into the file, no copy. */
  bytes(name: string): Uint8Array | undefined;
  info(name: string): TensorInfo | undefined;
}

export function readSafetensors(file: Uint8Array, limits: ValidatorLimits = {}): SafetensorsFile {
  const validator = new SafetensorsValidator(limits);
  validator.push(file);
  const header = validator.finish();
  const byName = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  return {
    header,
    info: (name) => byName.get(name),
    bytes: (name) => {
      const tensor = byName.get(name);
      return tensor && file.subarray(tensor.begin, tensor.end);
    },
  };
}
