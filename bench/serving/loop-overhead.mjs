// JavaScript time per step: schedule, plan, results, detokenization, events and their JSON lines, with a native model that
// answers at once. Run: npm run build && node bench/serving/loop-overhead.mjs
import { rm } from 'node:fs/promises';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { NEUTRAL_SAMPLING } from '#contracts/sampling.js';
import { InferenceEngine } from '#serving/loop/inference-engine.js';
import { Tokenizer } from '#serving/text/tokenizer.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';

const MODEL = join(import.meta.dirname, '../../test/golden/cases/llama-gqa/model');
const STEPS = 400;
const VOCABULARY = 500;

/** Counts the time between the end of a step and the begin of the next: all of it is ours. */
class InstantModel {
  description = {
    architecture: 'Instant',
    hiddenSize: 8,
    numLayers: 1,
    vocabSize: 512,
    maxPositions: 4096,
    tieWordEmbeddings: false,
    eosTokenIds: [],
    bosTokenId: undefined,
    modules: [],
    device: 'none',
    kvPages: 256 * 64,
    kvBytesPerPage: 1,
    weightBytes: 0,
  };
  outside_ms = [];
  #end_ms;

  async step(plan) {
    const begin_ms = performance.now();
    if (this.#end_ms !== undefined) this.outside_ms.push(begin_ms - this.#end_ms);
    for (let r = 0; r < plan.samples; r++) {
      plan.outToken[r] = 7 + ((plan.position[plan.sampleRow[r]] * 13 + r) % VOCABULARY);
      plan.outFinite[r] = 1;
      plan.outTopCount[r] = 0;
    }
    // The readers' turn comes while a real step computes; here it is waited for and not counted twice.
    const readers = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    this.readers_ms.push(performance.now() - readers);
    this.#end_ms = performance.now();
    return { native_ms: 0 };
  }
  readers_ms = [];
  async close() {}
}

function request(i, penalties) {
  return {
    requestId: String(i),
    cacheSalt: '',
    fairnessKey: `tenant-${i % 8}`,
    input: {
      kind: 'tokens',
      tokens: Array.from({ length: 128 }, (_, k) => 7 + ((i * 31 + k * 7) % VOCABULARY)),
    },
    maxTokens: STEPS,
    minTokens: 0,
    ignoreEos: true,
    stop: ['\n\nUser:'],
    stopTokenIds: [],
    includeStop: false,
    sampling: {
      ...NEUTRAL_SAMPLING,
      temperature: 1,
      topP: 0.9,
      repetitionPenalty: penalties ? 1.1 : 1,
    },
    returnPromptTokens: false,
  };
}

async function measure(sequences, penalties, tokenizer, blobs) {
  const native = new InstantModel();
  const base = {
    name: 'bench',
    digest: '',
    vocabSize: 512,
    maxContext: 4096,
    quantization: 'none',
    modules: [],
  };
  const engine = new InferenceEngine({
    model: { native, tokenizer, templates: new Map(), eosTokenIds: [], base },
    settings: {
      adapterCacheBytes: 1,
      hostAdapterCacheBytes: 1,
      speculation: 'off',
      goodputTtft_ms: 1000,
      goodputTpot_ms: 150,
      maxSequences: sequences,
      maxStepTokens: 4096,
      maxQueuedRequests: 1024,
      chatControlTokens: 'text',
    },
    blobs,
    registry: new Registry(),
    logger: pino({ level: 'silent' }),
  });
  let lineBytes = 0;
  const run = async (i) => {
    const events = await engine.generate(request(i, penalties), new AbortController().signal);
    for await (const event of events) lineBytes += JSON.stringify(event).length;
  };
  await Promise.all(Array.from({ length: sequences }, (_, i) => run(i)));
  await engine.close(0);
  const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
  const loop_ms = median(native.outside_ms.slice(50));
  const readers_ms = median(native.readers_ms.slice(50));
  console.log(
    `${String(sequences).padStart(4)} sequences${penalties ? ' with penalties' : '               '}: ` +
      `between steps ${loop_ms.toFixed(3)} ms (${((loop_ms * 1000) / sequences).toFixed(2)} us per token), ` +
      `readers and JSON beside the step ${readers_ms.toFixed(3)} ms; ${lineBytes} bytes of lines`,
  );
}

const folder = mkdtempSync(join(tmpdir(), 'lorikeet-bench-'));
const tokenizer = await Tokenizer.load(MODEL);
const blobs = await FileBlobStore.open(folder);
for (const penalties of [false, true]) {
  for (const sequences of [1, 64, 256]) await measure(sequences, penalties, tokenizer, blobs);
}
await rm(folder, { recursive: true });
