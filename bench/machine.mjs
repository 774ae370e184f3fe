import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, freemem, loadavg, release, totalmem } from 'node:os';
import { run } from '../scripts/lib/command.mjs';
import { repository } from '../scripts/lib/paths.mjs';

const INTERESTING_FLAGS = [
  'avx2',
  'fma',
  'avx512f',
  'avx512bw',
  'avx512_vnni',
  'avx512_bf16',
  'avx_vnni',
  'amx_int8',
];

/** @param {string} path @returns {string | undefined} */
const readIfThere = (path) => (existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined);

/** What the figures were measured on, and of. */
export async function describeMachine() {
  const flags = new Set(
    (/^flags\s*:\s*(.*)$/m.exec(readIfThere('/proc/cpuinfo') ?? '')?.[1] ?? '').split(' '),
  );
  const head = await run('git', ['rev-parse', 'HEAD'], { cwd: repository });
  const changes = await run('git', ['status', '--porcelain', '--untracked-files=no'], { cwd: repository });
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    isa: INTERESTING_FLAGS.filter((flag) => flags.has(flag)),
    governor:
      readIfThere('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor') ?? 'not visible (virtual machine)',
    /** Which CPUs share a last-level cache: two L3s have two paths to memory. A virtual machine may be told less than is so. */
    lastLevelCaches: lastLevelCaches(),
    hugePages: readIfThere('/sys/kernel/mm/transparent_hugepage/enabled'),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    commit: head.code === 0 ? head.output.trim() : 'unknown',
    uncommittedChanges: changes.output.trim() === '' ? 0 : changes.output.trim().split('\n').length,
  };
}

function lastLevelCaches() {
  const root = '/sys/devices/system/cpu';
  if (!existsSync(root)) return [];
  const groups = readdirSync(root)
    .filter((name) => /^cpu\d+$/.test(name))
    .map((name) => readIfThere(`${root}/${name}/cache/index3/shared_cpu_list`) ?? name);
  return [...new Set(groups)];
}

/** @typedef {{ user: number, system: number, idle: number, steal: number }} CpuTicks */

/** /proc/stat's first line, in ticks of all CPUs. @returns {CpuTicks} */
function cpuTicks() {
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0] = (
    /^cpu .*$/m.exec(readIfThere('/proc/stat') ?? '')?.[0] ?? ''
  )
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { user: user + nice, system: system + irq + soft, idle: idle + wait, steal };
}

/** CPU ticks of every process. @returns {Map<string, { name: string, ticks: number, parent: number, pid: number }>} */
function processTicks() {
  const processes = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = safeRead(`/proc/${pid}/stat`);
    const [, name = '', rest = ''] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? [];
    const fields = rest.split(' ');
    if (fields.length > 12) {
      processes.set(`${pid} ${fields[19]}`, {
        // with its start time: numbers are used again
        name,
        pid: Number(pid),
        parent: Number(fields[1]),
        ticks: Number(fields[11]) + Number(fields[12]),
      });
    }
  }
  return processes;
}

/**
 * The peak of resident memory of the one child of `parent` whose command line holds `part`; 0 when there is none.
 * @param {string} part @param {number} parent
 */
export function peakResidentBytes(part, parent) {
  for (const { pid, parent: of } of processTicks().values()) {
    if (of !== parent || !safeRead(`/proc/${pid}/cmdline`).includes(part)) continue;
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(safeRead(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
  }
  return 0;
}

/** @param {string} path */
function safeRead(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // it has ended
  }
}

const SAMPLE_MS = 3_000;

/**
 * Watches what else ran, from here to the returned function's call. Programs that are not ours are named with their share
 * of one CPU, as far as samples see them: the shortest-lived escape, but not `busyShare`. `stealShare` is what the
 * hypervisor gave to others.
 */
export function watchLoad() {
  const before = cpuTicks();
  const loadBefore = loadavg()[0] ?? 0;
  const began = performance.now();
  /** @type {Map<string, number>} ticks by program */
  const strangers = new Map();
  let last = processTicks();
  const sample = () => {
    const now = processTicks();
    addStrangers(strangers, last, now);
    last = now;
  };
  const timer = setInterval(sample, SAMPLE_MS).unref();
  return () => {
    clearInterval(timer);
    sample();
    const after = cpuTicks();
    const total = ticksOf(after) - ticksOf(before) || 1;
    const seconds = (performance.now() - began) / 1000;
    return {
      seconds: Math.round(seconds),
      loadBefore,
      loadAfter: loadavg()[0] ?? 0,
      stealShare: Number(((after.steal - before.steal) / total).toFixed(4)),
      busyShare: Number((1 - (after.idle - before.idle) / total).toFixed(3)),
      freeGiB: Number((freemem() / 2 ** 30).toFixed(1)),
      others: [...strangers]
        .map(([name, ticks]) => ({ name, cpus: Number((ticks / 100 / seconds).toFixed(2)) }))
        .filter(({ cpus }) => cpus >= 0.01)
        .sort((a, b) => b.cpus - a.cpus)
        .slice(0, 6),
    };
  };
}

/** @param {CpuTicks} ticks */
const ticksOf = ({ user, system, idle, steal }) => user + system + idle + steal;

/** @param {Map<string, number>} sums @param {ReturnType<typeof processTicks>} before @param {ReturnType<typeof processTicks>} after */
function addStrangers(sums, before, after) {
  const parents = new Map([...after.values()].map(({ pid, parent }) => [pid, parent]));
  const isOurs = (/** @type {number} */ pid) => {
    for (let at = pid; at > 1; at = parents.get(at) ?? 0) if (at === process.pid) return true;
    return false;
  };
  for (const [key, { name, pid, ticks }] of after) {
    const used = ticks - (before.get(key)?.ticks ?? 0);
    if (used > 0 && !isOurs(pid)) sums.set(name, (sums.get(name) ?? 0) + used);
  }
}
