import { StopError } from './stop-error.mjs';

const OLDEST = /** @type {const} */ ([20, 19]);

/** @param {string} version  e.g. `20.19.0` */
export function isSupportedNode(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/** Ends with a clear reason on a machine that cannot run Lorikeet. */
export function checkMachine() {
  if (!isSupportedNode(process.versions.node)) {
    throw new StopError(
      `Node.js ${OLDEST.join('.')} or later is needed; this is ${process.versions.node} (${process.execPath}).`,
    );
  }
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new StopError(
      `Lorikeet runs on Linux, x64 or arm64; this is ${process.platform} ${process.arch}. A container will do.`,
    );
  }
}
