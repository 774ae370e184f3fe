import { readFileSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';

/** Distinct cores in the text of /proc/cpuinfo; undefined where it does not name them (as on ARM). */
export function coresIn(cpuinfo: string): number | undefined {
  const cores = new Set<string>();
  for (const block of cpuinfo.split('\n\n')) {
    const core = /^core id\s*:\s*(\d+)/m.exec(block)?.[1];
    if (core !== undefined) cores.add(`${/^physical id\s*:\s*(\d+)/m.exec(block)?.[1] ?? '0'}/${core}`);
  }
  return cores.size > 0 ? cores.size : undefined;
}

/** CPUs that a cgroup v2 `cpu.max` ("200000 100000") grants; undefined when it sets no limit. */
export function cpusOfQuota(cpuMax: string): number | undefined {
  const [quota, period] = cpuMax.trim().split(/\s+/).map(Number);
  if (!quota || !period) return undefined; // "max" is NaN
  return Math.max(1, Math.floor(quota / period));
}

/** Physical cores that this process may use. */
export function physicalCores(): number {
  const limits = [
    availableParallelism(),
    coresIn(readIfThere('/proc/cpuinfo')),
    cpusOfQuota(readIfThere('/sys/fs/cgroup/cpu.max')),
  ];
  return Math.max(1, Math.min(...limits.filter((limit) => limit !== undefined)));
}

/** Bytes that can still be had without swapping, within the cgroup's limit. */
export function availableMemoryBytes(): number {
  const kilobytes = /^MemAvailable:\s*(\d+) kB/m.exec(readIfThere('/proc/meminfo'))?.[1];
  const machineBytes = kilobytes === undefined ? freemem() : Number(kilobytes) * 1024;
  const limitBytes = Number(readIfThere('/sys/fs/cgroup/memory.max')); // "max" is NaN, absent is 0
  const usedBytes = Number(readIfThere('/sys/fs/cgroup/memory.current'));
  if (!(limitBytes > 0)) return machineBytes;
  return Math.max(0, Math.min(machineBytes, limitBytes - usedBytes));
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
