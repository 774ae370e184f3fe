/**
 * Why native failed, for whoever decides what to do about it. `invalid`: what came in is wrong or not supported, another
 * try fails alike. `out_of_memory` (or out of threads, or file handles): it may work later, or elsewhere. `closed`: the
 * model is closing. `device`: the engine itself failed. `device_lost`: and nothing more will come of it until its process
 * has ended. `unsupported`: not served on this device.
 */
const NATIVE_ERROR_KINDS = [
  'invalid',
  'out_of_memory',
  'closed',
  'device',
  'device_lost',
  'unsupported',
] as const;
export type NativeErrorKind = (typeof NATIVE_ERROR_KINDS)[number];

/** Of what a NativeModel threw or rejected with; undefined for any other error. */
export function nativeErrorKind(error: unknown): NativeErrorKind | undefined {
  if (!(error instanceof Error) || !('kind' in error)) return undefined;
  return NATIVE_ERROR_KINDS.find((kind) => kind === error.kind);
}
