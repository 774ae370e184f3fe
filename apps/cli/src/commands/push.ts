import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { VersionResource } from '#contracts/adapters-api.js';
import { part } from '../api-client.js';
import type { Command } from '../command.js';
import { CommandError } from '../faults.js';
import { ProgressBar } from '../progress-bar.js';
import { readPairs } from '../values.js';
import { type UploadFile, uploadFiles } from '../upload-files.js';
import { waitForVersion } from '../wait-for-version.js';

const REQUIRED = ['adapter_config.json', 'adapter_model.safetensors'];
const OPTIONAL = ['chat_template.jinja', 'tokenizer_config.json', 'generation_config.json', 'README.md'];

export const push: Command = {
  path: ['adapters', 'push'],
  summary: 'upload a PEFT folder as a new version',
  operands: [{ name: 'FOLDER', help: `with ${REQUIRED.join(' and ')}` }],
  options: {
    adapter: { kind: 'text', value: 'NAME', help: "the adapter (default the folder's name)" },
    description: { kind: 'text', value: 'TEXT', help: 'what is new in it' },
    label: { kind: 'list', value: 'KEY=VALUE', help: 'a label of the version' },
    wait: { kind: 'flag', help: 'until the version is ready (exit code 0) or rejected (1)' },
    'no-create': { kind: 'flag', help: 'fail when there is no such adapter' },
  },
  notes: [`Also sent where they are there: ${OPTIONAL.join(', ')}.`, 'Other files are named and left out.'],
  async run({ values, print, api, signal }) {
    const folder = resolve(values.operand('FOLDER'));
    const files = await filesOf(folder);
    const leftOut = await otherFilesOf(folder);
    if (leftOut.length > 0) print.note(`left out: ${leftOut.join(', ')}`);
    const client = await api();
    const adapter = values.text('adapter') ?? basename(folder);
    const metadata = {
      description: values.text('description'),
      labels: readPairs('--label', values.list('label')),
    };
    const path = `/v1/adapters/${part(adapter)}/versions${values.flag('no-create') ? '' : '?create=true'}`;
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const bar = new ProgressBar(print.err, adapter, total);
    const uploaded = await uploadFiles<VersionResource>(client, {
      path,
      files,
      metadata,
      onBytes: (bytes) => bar.add(bytes),
      signal,
    }).finally(() => bar.end());
    const version = values.flag('wait')
      ? await waitForVersion(client, uploaded, { print, signal })
      : uploaded;
    print.result(version, ({ version: number, state, digest }) =>
      [`${adapter}@${number} is ${state}`, ...(digest ? [`digest ${digest}`] : [])].join('\n'),
    );
  },
};

async function filesOf(folder: string): Promise<UploadFile[]> {
  const files: UploadFile[] = [];
  for (const name of [...REQUIRED, ...OPTIONAL]) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) files.push({ name, path, bytes: found.size });
    else if (REQUIRED.includes(name)) throw new CommandError(`${folder} has no ${name}`);
  }
  return files;
}

/** What else lies in the folder, e.g. the optimizer's state. */
async function otherFilesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const known = new Set([...REQUIRED, ...OPTIONAL]);
  return entries
    .filter((entry) => !known.has(entry.name) && !entry.name.startsWith('.'))
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .sort();
}
