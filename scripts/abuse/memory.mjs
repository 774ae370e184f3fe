import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const SAMPLE_MS = 100;
/** Memory is back when it is no more than this above what it was: a heap keeps some. */
const BACK_MIB = 32;

/** Follows the resident memory of processes, in MiB. */
export class MemoryWatch {
  /** @param {() => number[]} pids */
  constructor(pids) {
    this.pids = pids();
    this.before = this.now();
    this.peak = this.before;
    this.timer = setInterval(() => (this.peak = Math.max(this.peak, this.now())), SAMPLE_MS);
  }

  now() {
    return Math.round(this.pids.reduce((sum, pid) => sum + residentKib(pid), 0) / 1024);
  }

  /** @returns the most that was seen */
  stop() {
    clearInterval(this.timer);
    return this.peak;
  }
}

/** Waits until memory is back, for so long at most; returns what is in use then. @param {MemoryWatch} memory @param {number} limit_ms */
export async function untilBack(memory, limit_ms) {
  const deadline_ms = Date.now() + limit_ms;
  while (memory.now() > memory.before + BACK_MIB && Date.now() < deadline_ms) await sleep(SAMPLE_MS);
  return memory.now();
}

/** @param {number} pid */
function residentKib(pid) {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0; // it ended
  }
}
