import { basename, resolve } from 'node:path';
import { HubError } from '#hub/hub-error.js';
import { parseHubReference } from '#hub/hub-reference.js';
import { pullModel } from '#hub/pull-model.js';
import type { Command } from '../command.js';
import { CommandError, UsageError } from '../faults.js';
import { ProgressBar } from '../progress-bar.js';
import { bytesText } from '../table.js';

const HUB = 'https://huggingface.co';

export const pullCheckpoint: Command = {
  path: ['model', 'pull'],
  summary: 'download a base model from the Hub, for MODEL_PATH',
  operands: [
    { name: 'SOURCE', help: 'e.g. hf://org/repo, hf://org/repo@revision, hf://org/repo@revision/folder' },
    { name: 'FOLDER', help: "where to put it (default ./ and the repository's name)", optional: true },
  ],
  notes: [
    'Goes on with what an interrupted pull left. Each file is checked against the hash that the Hub tells, and the folder',
    'gets its name when all of it is there. HF_ENDPOINT is the Hub, HF_TOKEN its token.',
  ],
  async run({ values, print, env, signal }) {
    const reference = readSource(values.operand('SOURCE'));
    const { repo, folder: inside } = reference;
    const folder = resolve(values.optionalOperand('FOLDER') ?? basename(inside === '' ? repo : inside));
    const access = { endpoint: env.HF_ENDPOINT ?? HUB, token: env.HF_TOKEN };
    let bar: ProgressBar | undefined;
    let [total, done] = [0, 0];
    const pulled = await pullModel(reference, {
      access,
      folderOf: () => folder,
      signal,
      onRetry: (message) => print.note(message),
      onProgress: ({ doneBytes, totalBytes }) => {
        if (totalBytes !== total) bar = new ProgressBar(print.err, repo, (total = totalBytes));
        bar?.add(doneBytes - done);
        done = doneBytes;
      },
    })
      .catch((error: unknown) => {
        throw error instanceof HubError ? new CommandError(error.message) : error;
      })
      .finally(() => bar?.end());
    print.result(pulled, ({ commit, files, known }) =>
      [
        `hf://${repo}@${commit} ${known ? 'lies already' : 'lies'} in ${folder}`,
        ...files.map(({ name, bytes }) => `  ${name}  ${bytesText(bytes)}`),
      ].join('\n'),
    );
  },
};

function readSource(text: string) {
  try {
    return parseHubReference(text);
  } catch (error) {
    throw error instanceof HubError ? new UsageError(`SOURCE: ${error.message}`) : error;
  }
}
