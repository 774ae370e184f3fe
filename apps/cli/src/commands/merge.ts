import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { VersionFileResource } from '#contracts/version-files-api.js';
import { mergeAdapter } from '#merge/merge-adapter.js';
import { MergeError } from '#merge/merge-error.js';
import { part } from '../api-client.js';
import type { Call, Command } from '../command.js';
import { downloadFile } from '../download-file.js';
import { CommandError } from '../faults.js';
import type { Page } from '../printer.js';
import { ProgressBar } from '../progress-bar.js';
import { bytesText } from '../table.js';
import { readVersion } from '../values.js';

export const merge: Command = {
  path: ['adapters', 'merge'],
  summary: "write a checkpoint with a version in the base model's weights",
  operands: [
    { name: 'ADAPTER@VERSION', help: 'e.g. support-bot@3' },
    { name: 'BASE', help: 'the folder of the base model, on this machine' },
    {
      name: 'FOLDER',
      help: 'where to write the merged checkpoint (default ./ADAPTER-VERSION-merged)',
      optional: true,
    },
  ],
  options: {
    'any-base': {
      kind: 'flag',
      help: 'into another base than the one that the version was validated against',
    },
    dequantize: {
      kind: 'flag',
      help: 'of a quantized checkpoint: into the weights that it stands for, as bfloat16',
    },
    float32: {
      kind: 'flag',
      help: 'with --dequantize: as float32, exact and twice as large',
    },
  },
  notes: [
    'The version comes from the server, the base from this machine: whoever may read both may merge them. Weights in float32,',
    'bfloat16 or float16 keep their type; quantized checkpoints are refused without --dequantize.',
  ],
  async run(call) {
    const { adapter, version } = readVersion(call.values.operand('ADAPTER@VERSION'));
    const target = resolve(call.values.optionalOperand('FOLDER') ?? `${adapter}-${version}-merged`);
    const folder = await mkdtemp(join(tmpdir(), 'lorikeet-merge-'));
    try {
      const { manifest, weights } = await fetchVersion(call, { adapter, version, folder });
      let bar: ProgressBar | undefined;
      let before = 0;
      const merged = await mergeAdapter({
        manifest,
        weights,
        checkpoint: resolve(call.values.operand('BASE')),
        target,
        anyBase: call.values.flag('any-base'),
        dequantize: call.values.flag('dequantize') || call.values.flag('float32'),
        ...(call.values.flag('float32') && { dequantizedDtype: 'F32' as const }),
        signal: call.signal,
        onProgress: (done, total) => {
          bar ??= new ProgressBar(call.print.err, `${adapter}@${version}`, total);
          bar.add(done - before);
          before = done;
        },
      })
        .catch((error: unknown) => {
          throw error instanceof MergeError ? new CommandError(error.message) : error;
        })
        .finally(() => bar?.end());
      call.print.result({ adapter, version, ...merged }, ({ changed, files }) =>
        [
          `${adapter}@${version} is merged into ${target}: ${changed} modules`,
          ...files.map(({ name, bytes }) => `  ${name}  ${bytesText(bytes)}`),
        ].join('\n'),
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

interface Wanted {
  readonly adapter: string;
  readonly version: number;
  readonly folder: string;
}

/** The manifest, and the file that its tensors lie in. */
async function fetchVersion({ api, print, signal }: Call, { adapter, version, folder }: Wanted) {
  const client = await api();
  const path = `/v1/adapters/${part(adapter)}/versions/${version}/files`;
  const { data } = await client.get<Page<VersionFileResource>>(path);
  const fetchFile = async ({ id, sha256, bytes }: VersionFileResource): Promise<string> => {
    const bar = new ProgressBar(print.err, id, bytes);
    const target = join(folder, id);
    await downloadFile(client, `${path}/${part(id)}`, {
      target,
      sha256,
      replace: true,
      resume: false,
      onBytes: (done) => bar.add(done),
      signal,
    }).finally(() => bar.end());
    return target;
  };
  const ofManifest = data.find(({ id }) => id === 'manifest.json');
  if (!ofManifest) throw new CommandError(`${adapter}@${version} is not ready`);
  const manifest = JSON.parse(await readFile(await fetchFile(ofManifest), 'utf8')) as AdapterManifest;
  const ofWeights = data.find(({ sha256 }) => sha256 === manifest.weights.sha256);
  if (!ofWeights)
    throw new CommandError(`${adapter}@${version} has no file with the weights of its manifest`);
  return { manifest, weights: await fetchFile(ofWeights) };
}
