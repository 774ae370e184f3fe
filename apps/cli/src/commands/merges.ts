import { setTimeout as sleep } from 'node:timers/promises';
import { resolve } from 'node:path';
import type { MergeResource } from '#contracts/merges-api.js';
import { part } from '../api-client.js';
import { type Command, PAGE_OPTIONS } from '../command.js';
import { downloadFile } from '../download-file.js';
import { CommandError } from '../faults.js';
import type { Page } from '../printer.js';
import { ProgressBar } from '../progress-bar.js';
import { bytesText } from '../table.js';
import { readVersion } from '../values.js';

const PATH = '/v1/merges';
const MERGE = { name: 'MERGE', help: 'its id' };
const ASK_EVERY_MS = 1_000;

const start: Command = {
  path: ['merges', 'start'],
  summary: "let the server merge a version into the base model's weights",
  operands: [{ name: 'ADAPTER@VERSION', help: 'e.g. support-bot@3' }],
  options: {
    dequantize: {
      kind: 'flag',
      help: 'of a quantized base: into the weights that it stands for, as bfloat16',
    },
    'any-base': {
      kind: 'flag',
      help: "into the server's checkpoint also where it is another base that fits",
    },
    wait: { kind: 'flag', help: 'until it is ready; exit code 1 when it fails' },
  },
  notes: ['Its archive is kept for a while: `merges pull`. `adapters merge` merges on this machine.'],
  async run({ values, print, api, signal }) {
    const { adapter, version } = readVersion(values.operand('ADAPTER@VERSION'));
    const client = await api();
    let merge = await client.send<MergeResource>(
      'POST',
      `/v1/adapters/${part(adapter)}/versions/${version}/merges`,
      { dequantize: values.flag('dequantize'), any_base: values.flag('any-base') },
    );
    while (values.flag('wait') && isOpen(merge)) {
      await sleep(ASK_EVERY_MS, undefined, { signal });
      merge = await client.get<MergeResource>(`${PATH}/${part(merge.id)}`);
    }
    if (merge.state === 'failed') throw new CommandError(merge.failure ?? 'the merge failed');
    print.result(merge, text);
  },
};

const list: Command = {
  path: ['merges', 'list'],
  summary: 'list merges that the server made',
  options: PAGE_OPTIONS,
  async run({ values, print, api }) {
    const page = await (await api()).get<Page<MergeResource>>(PATH, {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['VERSION', 'STATE', 'BYTES', 'FAILURE', 'EXPIRES', 'ID'], (each) => [
      `${each.adapter}@${each.version}`,
      each.state,
      each.bytes,
      each.failure,
      each.expires_at,
      each.id,
    ]);
  },
};

const pull: Command = {
  path: ['merges', 'pull'],
  summary: 'download a merged checkpoint as a tar archive',
  operands: [
    MERGE,
    { name: 'FILE', help: 'where to put it (default ./ADAPTER-VERSION-merged.tar)', optional: true },
  ],
  options: {
    force: { kind: 'flag', help: 'replace a file that is there' },
    resume: { kind: 'flag', help: 'go on with what an interrupted pull left in FILE.part' },
  },
  async run({ values, print, api, signal }) {
    const client = await api();
    const path = `${PATH}/${part(values.operand('MERGE'))}`;
    const merge = await client.get<MergeResource>(path);
    const { adapter, version, sha256, bytes } = merge;
    if (merge.state !== 'ready' || sha256 === null || bytes === null)
      throw new CommandError(`the merge is ${merge.state}`);
    const target = resolve(values.optionalOperand('FILE') ?? `${adapter}-${version}-merged.tar`);
    const bar = new ProgressBar(print.err, `${adapter}@${version}`, bytes);
    const [replace, resume] = [values.flag('force'), values.flag('resume')];
    const onBytes = (count: number): void => bar.add(count);
    await downloadFile(client, `${path}/content`, {
      target,
      sha256,
      replace,
      resume,
      onBytes,
      signal,
    }).finally(() => bar.end());
    print.result({ ...merge, file: target }, () => `${target}  ${bytesText(bytes)}`);
  },
};

const remove: Command = {
  path: ['merges', 'delete'],
  summary: 'delete a merge with its archive, or end it',
  operands: [MERGE],
  options: { yes: { kind: 'flag', help: 'do not ask' } },
  async run({ values, print, api, confirm }) {
    const id = values.operand('MERGE');
    await confirm(`Delete the merge ${id} with its archive?`);
    print.result(await (await api()).send<object>('DELETE', `${PATH}/${part(id)}`), () => `deleted ${id}`);
  },
};

const isOpen = ({ state }: MergeResource): boolean => state === 'queued' || state === 'running';

function text({ id, adapter, version, state, bytes, expires_at }: MergeResource): string {
  const size = bytes === null ? '' : `, ${bytesText(bytes)}, kept until ${expires_at}`;
  return `${id}: ${adapter}@${version} ${state}${size}`;
}

export const mergeCommands: readonly Command[] = [start, list, pull, remove];
