import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { VersionFileResource } from '#contracts/version-files-api.js';
import { part } from '../api-client.js';
import type { Command } from '../command.js';
import { downloadFile } from '../download-file.js';
import type { Page } from '../printer.js';
import { ProgressBar } from '../progress-bar.js';
import { bytesText } from '../table.js';
import { readVersion } from '../values.js';

export const pull: Command = {
  path: ['adapters', 'pull'],
  summary: "download a version's files, as PEFT reads them",
  operands: [
    { name: 'ADAPTER@VERSION', help: 'e.g. support-bot@3' },
    { name: 'FOLDER', help: 'where to put them (default ./ADAPTER-VERSION)', optional: true },
  ],
  options: {
    force: { kind: 'flag', help: 'replace files that are there' },
    resume: { kind: 'flag', help: 'go on with what an interrupted pull left in FOLDER' },
    manifest: { kind: 'flag', help: 'also what the server made of them, such as manifest.json' },
  },
  notes: ['Each file is checked against its SHA-256 before it gets its name.'],
  async run({ values, print, api, signal }) {
    const { adapter, version } = readVersion(values.operand('ADAPTER@VERSION'));
    const folder = resolve(values.optionalOperand('FOLDER') ?? `${adapter}-${version}`);
    const client = await api();
    const path = `/v1/adapters/${part(adapter)}/versions/${version}/files`;
    const page = await client.get<Page<VersionFileResource>>(path);
    const files = page.data.filter(({ made }) => !made || values.flag('manifest'));
    await mkdir(folder, { recursive: true });
    for (const file of files) {
      const bar = new ProgressBar(print.err, file.id, file.bytes);
      await downloadFile(client, `${path}/${part(file.id)}`, {
        target: join(folder, file.id),
        sha256: file.sha256,
        replace: values.flag('force'),
        resume: values.flag('resume'),
        onBytes: (bytes) => bar.add(bytes),
        signal,
      }).finally(() => bar.end());
    }
    print.result({ adapter, version, folder, files }, () =>
      [
        `${adapter}@${version} lies in ${folder}`,
        ...files.map(({ id, bytes }) => `  ${id}  ${bytesText(bytes)}`),
      ].join('\n'),
    );
  },
};
