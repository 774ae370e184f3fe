import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 1_000;

/** @param {number} pid @returns {{ parent: number, name: string } | undefined} */
function processOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const close = stat.lastIndexOf(')');
    return {
      name: stat.slice(stat.indexOf('(') + 1, close),
      parent: Number(stat.slice(close + 2).split(' ')[1]),
    };
  } catch {
    return undefined;
  }
}

/** Ours, and npm's behind the shell that npm runs scripts in. @returns {string} */
function lineage() {
  const parent = processOf(process.ppid);
  const shell = parent !== undefined && /^(sh|dash|bash|busybox|ash)$/.test(parent.name);
  return shell ? `${process.ppid} ${parent.parent}` : String(process.ppid);
}

/**
 * Calls `onGone` when the npm that started us was killed: nobody would be left to receive Ctrl-C.
 * @param {() => void} onGone
 * @returns {() => void} stops watching
 */
export function watchNpm(onGone) {
  if (process.env.npm_lifecycle_event === undefined) return () => {};
  const born = lineage();
  const timer = setInterval(() => {
    if (lineage() === born) return;
    clearInterval(timer);
    onGone();
  }, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}
