import { spawnSync } from 'node:child_process';
import { StopError } from './stop-error.mjs';

/**
 * A GPU, or one of the slices that MIG divides it into, as CUDA_VISIBLE_DEVICES names it.
 * @typedef {string} VisibleDevice
 */
/**
 * What a process sees where CUDA_VISIBLE_DEVICES is as given: all that its driver has where undefined.
 * @typedef {(visible: VisibleDevice | undefined) => Promise<readonly ({ device: string } | { reason: string })[]>} SeenDevices
 */

/** What the variable names: up to the first entry that is none, as the driver reads it. @param {string} text */
export function devicesOfVariable(text) {
  const entries = text.split(',').map((entry) => entry.trim());
  const end = entries.findIndex((entry) => entry === '' || entry.startsWith('-'));
  return end < 0 ? entries : entries.slice(0, end);
}

/**
 * What `nvidia-smi -L` lists: the slices of a GPU that is divided, else the GPU. A process that is told nothing sees one slice of
 * all at most, so the driver cannot be asked for them.
 * @param {string} text @returns {VisibleDevice[]}
 */
export function devicesOfListing(text) {
  /** @type {{ gpu: string, slices: string[] }[]} */
  const found = [];
  for (const line of text.split('\n')) {
    const [, kind, uuid = ''] = /^\s*(GPU|MIG)\b.*\(UUID: ([^)]+)\)/.exec(line) ?? [];
    if (kind === 'GPU') found.push({ gpu: uuid, slices: [] });
    if (kind === 'MIG') found.at(-1)?.slices.push(uuid);
  }
  return found.flatMap(({ gpu, slices }) => (slices.length > 0 ? slices : [gpu]));
}

/** Undefined: there is no such program, or it finds none. @param {NodeJS.ProcessEnv} env */
function listedDevices(env) {
  if (env.LORIKEET_CUDA_DRIVER?.trim()) return undefined; // it knows another driver's
  const { status, stdout } = spawnSync('nvidia-smi', ['-L'], { encoding: 'utf8', timeout: 30_000 });
  const devices = status === 0 ? devicesOfListing(stdout) : [];
  return devices.length > 0 ? devices : undefined;
}

/**
 * The devices of this machine that engines can use, each with what it is.
 * @param {NodeJS.ProcessEnv} env @param {SeenDevices} seen @param {(line: string) => void} warn  of those that cannot be used
 */
export async function usableDevices(env, seen, warn) {
  const named = env.CUDA_VISIBLE_DEVICES;
  const visible =
    named === undefined
      ? (listedDevices(env) ?? (await seen(undefined)).map((_, device) => String(device)))
      : devicesOfVariable(named);
  const asked = await Promise.all(visible.map(async (entry) => ({ entry, sees: (await seen(entry))[0] })));
  const usable = asked.flatMap(({ entry, sees }) => {
    if (sees && 'device' in sees) return [{ visible: entry, device: sees.device }];
    warn(`DEVICES=all leaves out ${entry}: ${sees?.reason ?? 'the driver sees no such device'}`);
    return [];
  });
  if (usable.length > 0) return usable;
  const why =
    named === undefined ? 'the driver sees none that suffices' : `CUDA_VISIBLE_DEVICES is "${named}"`;
  throw new StopError(`DEVICES=all: there is no CUDA device to use: ${why}`);
}
