import type { CudaProbe } from '#native-engine/native.js';
import { nativeErrorKind } from '#native-engine/native-error.js';
import { ModelError } from './model-error.js';

/** DEVICE: `auto`, `cpu`, `cuda` (the first) or `cuda:N`. */
export type DeviceSetting = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

export interface DeviceChoice {
  readonly backend: 'cpu' | 'cuda';
  /** Which of several. */
  readonly device?: number;
  /** Of the device's own memory; undefined: the host's is meant. */
  readonly freeBytes?: number;
  /** Why `auto` took the CPU. */
  readonly reason?: string;
}

/** @returns undefined for what is no device. */
export function deviceSetting(text: string): DeviceSetting | undefined {
  if (text === 'auto' || text === 'cpu' || text === 'cuda') return text;
  return /^cuda:\d{1,3}$/.test(text) ? (text as DeviceSetting) : undefined;
}

/**
 * The device that the setting means. `auto` takes the first CUDA device where there is a driver and the device suffices, else
 * the CPU; one that is named and cannot be used is a ModelError with the reason.
 */
export function chooseDevice(wanted: DeviceSetting, probeCuda: (device: number) => CudaProbe): DeviceChoice {
  if (wanted === 'cpu') return { backend: 'cpu' };
  const device = wanted.startsWith('cuda:') ? Number(wanted.slice('cuda:'.length)) : 0;
  try {
    return { backend: 'cuda', device, freeBytes: probeCuda(device).freeBytes };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (wanted !== 'auto') throw new ModelError(`DEVICE=${wanted}: ${reason}`, { cause });
    return { backend: 'cpu', reason };
  }
}

/** Whether `auto` goes on with the CPU after a model could not be opened on the device. */
export function fallsBack(wanted: DeviceSetting, choice: DeviceChoice, error: unknown): boolean {
  const kind = nativeErrorKind(error);
  return (
    wanted === 'auto' && choice.backend === 'cuda' && (kind === 'unsupported' || kind === 'out_of_memory')
  );
}
