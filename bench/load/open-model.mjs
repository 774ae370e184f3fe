// Opens one model in a process of its own, loads adapters, runs a full step, and prints what that took as JSON:
//   node bench/load/open-model.mjs MODEL FORMAT THREADS KV_BYTES [ADAPTER_FOLDER ...]
// A separate process, because the kernel's high-water mark of resident memory (VmHWM) never falls.
import { readFileSync } from 'node:fs';
import { openModel } from '#native-engine/load.js';
import { NEUTRAL_COLUMNS } from '#native-engine/sample-columns.js';
import { makeStepPlan } from '#native-engine/step-plan.js';
import { manifestOf } from './manifest.mjs';

const MAX_STEP_TOKENS = 512;
const MAX_SEQUENCES = 64;
const PAGE_TOKENS = 16;
const ALPHA_OVER_RANK = 2;

const peakBytes = () =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024;

/** Prefills one sequence as long as a step may be. @param {any} model */
async function runFullStep(model) {
  const rows = Math.min(
    MAX_STEP_TOKENS,
    model.description.maxPositions,
    model.description.kvPages * PAGE_TOKENS,
  );
  const plan = makeStepPlan({
    rows: MAX_STEP_TOKENS,
    sequences: MAX_SEQUENCES,
    pagesPerSequence: Math.ceil(rows / PAGE_TOKENS),
    samples: MAX_STEP_TOKENS,
    history: 16,
    bias: 16,
  });
  Object.assign(plan, { rows, sequences: 1, segments: 0, samples: 1 });
  for (let row = 0; row < rows; row++) {
    plan.token[row] = row % 17;
    plan.position[row] = row;
    plan.kvSlot[row] = row;
  }
  for (let page = 0; page * PAGE_TOKENS < rows; page++) plan.pageTable[page] = page;
  plan.qStart[1] = rows;
  plan.kvLength[0] = rows;
  plan.sampleRow[0] = rows - 1;
  plan.sampleInt.set(NEUTRAL_COLUMNS.ints);
  plan.sampleFloat.set(NEUTRAL_COLUMNS.floats);
  await model.step(plan);
}

const [modelPath, quantization, threads, kvBytes, ...folders] = process.argv.slice(2);
const beforeBytes = peakBytes();
const begin = performance.now();
const cpuBegin = process.cpuUsage();
const model = await openModel({
  modelPath,
  backend: 'cpu',
  threads: Number(threads),
  quantization,
  maxStepTokens: MAX_STEP_TOKENS,
  maxSequences: MAX_SEQUENCES,
  kv: { bytes: Number(kvBytes), pageTokens: PAGE_TOKENS, dtype: 'f16' },
});
const open_ms = performance.now() - begin;
const { user, system } = process.cpuUsage(cpuBegin);
const openPeakBytes = peakBytes();
for (const folder of folders) {
  await model.loadAdapter(manifestOf(folder, ALPHA_OVER_RANK));
}
await runFullStep(model);
const held = model.memory();
await model.close();
console.log(
  JSON.stringify({
    open_ms,
    openUser_ms: user / 1000,
    openSystem_ms: system / 1000,
    beforeBytes,
    openPeakBytes,
    peakBytes: peakBytes(),
    ...held,
  }),
);
