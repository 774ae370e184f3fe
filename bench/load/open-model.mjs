// Opens one model in a process of its own, loads adapters, runs a full step, and prints what that took as JSON:
//   node bench/load/open-model.mjs MODEL FORMAT THREADS KV_BYTES [ADAPTER_FOLDER ...]
// A separate process, because the kernel's high-water mark of resident memory (VmHWM) never falls.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { openModel } from '#native-engine/load.js';
import { SAMPLE_FLOAT } from '#native-engine/native.js';
import { makeStepPlan } from '#native-engine/step-plan.js';

const MAX_STEP_TOKENS = 512;
const MAX_SEQUENCES = 64;
const PAGE_TOKENS = 16;
const ALPHA_OVER_RANK = 2;

const peakBytes = () =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024;

/** The manifest's modules of a plain LoRA adapter. @param {string} weightsPath */
function modulesOf(weightsPath) {
  // The header only: the whole file would count as this process's memory.
  const file = openSync(weightsPath, 'r');
  const length = Buffer.alloc(8);
  readSync(file, length, 0, 8, 0);
  const text = Buffer.alloc(Number(length.readBigUInt64LE(0)));
  readSync(file, text, 0, text.length, 8);
  closeSync(file);
  const start = 8 + text.length;
  const header = JSON.parse(text.toString());
  const tensor = (/** @type {string} */ name) => {
    const { dtype, shape, data_offsets: at } = header[name];
    return { name, dtype, shape, begin: start + at[0], end: start + at[1] };
  };
  return Object.keys(header)
    .filter((name) => name.endsWith('.lora_A.weight'))
    .map((name) => {
      const a = tensor(name);
      const b = tensor(name.replace('lora_A', 'lora_B'));
      const module = name.slice('base_model.model.'.length, -'.lora_A.weight'.length);
      return { module, lora: { rank: a.shape[0], scale: ALPHA_OVER_RANK, a, b } };
    });
}

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
  plan.sampleFloat[SAMPLE_FLOAT.repetitionPenalty] = 1;
  plan.sampleFloat[SAMPLE_FLOAT.topP] = 1;
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
  const weightsPath = join(folder, 'adapter_model.safetensors');
  await model.loadAdapter({ weightsPath, modules: modulesOf(weightsPath) });
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
