import { join } from 'node:path';
import { run } from '../../scripts/lib/command.mjs';
import { step } from '../../scripts/lib/print.mjs';
import { StopError } from '../../scripts/lib/stop-error.mjs';
import { conditions, loadLine, markdownTable } from '../report.mjs';
import { ensureAdapters, ensureGguf, ensureModel, ensurePacked } from '../models/generate.mjs';
import { PACKED } from '../models/packed-model.mjs';

const FORMATS = ['none', 'int8', 'int4', 'nf4'];
const GGUF = /** @type {const} */ (['q8_0', 'q4_0']);
const ADAPTERS = 16;
const KV_BYTES = 128 << 20; // small, since untouched pages of a large one would hide what loading takes

/** Time and peak memory of opening a model in every format, adapters and a full step included. @param {import('../options.mjs').BenchOptions} options */
export async function runLoad({ shape, ranks, threads }) {
  const model = await ensureModel(shape);
  const adapters = await ensureAdapters(shape, ranks, ADAPTERS);
  const opened = FORMATS.map((format) => ({ checkpoint: 'bf16', modelPath: model, format }));
  for (const type of GGUF)
    opened.push({ checkpoint: `GGUF ${type}`, modelPath: await ensureGguf(shape, type), format: 'none' });
  for (const packed of PACKED) {
    const modelPath = await ensurePacked(shape, packed);
    for (const format of ['none', 'int8']) opened.push({ checkpoint: packed, modelPath, format });
  }
  const rows = [];
  for (const { checkpoint, modelPath, format } of opened) {
    const folders = adapters.map(({ folder }) => folder);
    const args = [
      join(import.meta.dirname, 'open-model.mjs'),
      modelPath,
      format,
      String(threads),
      String(KV_BYTES),
    ];
    const { code, output } = await step(`opening ${shape.name}, ${checkpoint}, in ${format}`, () =>
      run(process.execPath, [...args, ...folders]),
    );
    if (code !== 0) throw new StopError(`opening in ${format} failed:\n${output}`);
    rows.push({ checkpoint, format, ...JSON.parse(output.trim().split('\n').at(-1) ?? '') });
  }
  return { shape: shape.name, adapters: ADAPTERS, rows };
}

/** @param {{ machine: any, load: any, options: object, result: Awaited<ReturnType<typeof runLoad>> }} run */
export function loadMarkdown({ machine, load, result }) {
  const mebibytes = (/** @type {number} */ bytes) => String(Math.round(bytes / 2 ** 20));
  return [
    `# Loading ${result.shape}`,
    conditions(machine, { load: loadLine(load) }),
    `A process of its own for each checkpoint and QUANTIZATION: open, load ${result.adapters} adapters, one full prefill step. Peak is the kernel's VmHWM of the whole process, Node and working memory included; its share is of weights + KV cache + adapters. MiB.`,
    markdownTable(
      [
        'checkpoint',
        'QUANTIZATION',
        'open, s',
        'its CPU, s',
        'weights',
        'KV',
        'adapters',
        'working',
        'Node before',
        'peak',
        'peak share',
      ],
      result.rows.map((row) => [
        row.checkpoint,
        row.format,
        (row.open_ms / 1000).toFixed(1),
        ((row.openUser_ms + row.openSystem_ms) / 1000).toFixed(1),
        ...[
          row.weightBytes,
          row.kvBytes,
          row.adapterBytes,
          row.scratchBytes,
          row.beforeBytes,
          row.peakBytes,
        ].map(mebibytes),
        (row.peakBytes / (row.weightBytes + row.kvBytes + row.adapterBytes)).toFixed(3),
      ]),
    ),
  ].join('\n\n');
}
