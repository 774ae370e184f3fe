import type { VersionResource } from '#contracts/adapters-api.js';
import { part } from '../api-client.js';
import type { Call, Command, Option } from '../command.js';
import { UsageError } from '../faults.js';
import { readVersion } from '../values.js';
import { waitForVersion } from '../wait-for-version.js';

const COMMON: Readonly<Record<string, Option>> = {
  dtype: { kind: 'text', value: 'TYPE', help: 'of the factors: f32, bf16 or f16' },
  description: { kind: 'text', value: 'TEXT', help: 'what is new in it' },
  wait: { kind: 'flag', help: 'until the version is ready (exit code 0) or rejected (1)' },
};

const compose: Command = {
  path: ['adapters', 'compose'],
  summary: "sum versions up into a new one, as PEFT's add_weighted_adapter",
  operands: [{ name: 'ADAPTER', help: 'of the new version; made when there is none' }],
  options: {
    method: {
      kind: 'text',
      value: 'METHOD',
      help: 'linear, cat, svd, ties, dare_linear, dare_ties, magnitude_prune (default cat)',
    },
    input: {
      kind: 'list',
      value: 'A@N[=WEIGHT]',
      help: 'a version and its weight (default 1); once for each',
    },
    density: { kind: 'text', value: 'D', help: 'the share of elements to keep, from 0 to 1' },
    'majority-sign': { kind: 'text', value: 'HOW', help: 'total or frequency, of ties and dare_ties' },
    seed: { kind: 'text', value: 'N', help: 'what dare_linear and dare_ties draw with' },
    rank: { kind: 'text', value: 'R', help: 'of the result, of svd' },
    ...COMMON,
  },
  async run(call) {
    const { values } = call;
    const inputs = values.list('input').map(readInput);
    if (inputs.length === 0) throw new UsageError('--input is required: a version, e.g. support-bot@3=0.7');
    await order(call, values.operand('ADAPTER'), {
      operation: 'compose',
      method: values.text('method') ?? 'cat',
      inputs,
      density: values.number('density', { min: 0, max: 1 }),
      majority_sign: values.text('majority-sign'),
      seed: values.integer('seed', { min: 0, max: 2 ** 32 - 1 }),
      rank: values.integer('rank', { min: 1 }),
      dtype: values.text('dtype'),
    });
  },
};

const shrink: Command = {
  path: ['adapters', 'shrink'],
  summary: 'make a version of a lower rank, and say what it loses',
  operands: [{ name: 'ADAPTER@VERSION', help: 'e.g. support-bot@3' }],
  options: {
    rank: { kind: 'text', value: 'R', help: 'the largest rank of the result' },
    energy: {
      kind: 'text',
      value: 'E',
      help: 'instead of a rank: the share of the energy to keep, from 0 to 1',
    },
    to: { kind: 'text', value: 'ADAPTER', help: 'of the new version (default the same adapter)' },
    ...COMMON,
  },
  async run(call) {
    const { values } = call;
    const version = values.operand('ADAPTER@VERSION');
    const { adapter } = readVersion(version);
    await order(call, values.text('to') ?? adapter, {
      operation: 'shrink',
      version,
      rank: values.integer('rank', { min: 1 }),
      energy: values.number('energy', { min: 0, max: 1 }),
      dtype: values.text('dtype'),
    });
  },
};

const convert: Command = {
  path: ['adapters', 'convert'],
  summary: 'make a version in another form: PEFT, MLX-LM or GGUF',
  operands: [{ name: 'ADAPTER@VERSION', help: 'e.g. support-bot@3' }],
  options: {
    form: { kind: 'text', value: 'FORM', help: 'peft, mlx, int8, or gguf (adds adapter.gguf to the files)' },
    to: { kind: 'text', value: 'ADAPTER', help: 'of the new version (default the same adapter)' },
    ...COMMON,
  },
  async run(call) {
    const { values } = call;
    const version = values.operand('ADAPTER@VERSION');
    const { adapter } = readVersion(version);
    await order(call, values.text('to') ?? adapter, {
      operation: 'convert',
      version,
      to: values.required('form'),
      dtype: values.text('dtype'),
    });
  },
};

/** `bot@3` or `bot@3=-0.5` */
function readInput(text: string): { readonly version: string; readonly weight?: number } {
  const at = text.indexOf('=');
  const version = at < 0 ? text : text.slice(0, at);
  readVersion(version);
  if (at < 0) return { version };
  const weight = Number(text.slice(at + 1));
  if (text.slice(at + 1).trim() !== '' && Number.isFinite(weight)) return { version, weight };
  throw new UsageError(`--input: expected ADAPTER@VERSION=WEIGHT, got "${text}"`);
}

async function order({ values, print, api, signal }: Call, adapter: string, derive: object): Promise<void> {
  const client = await api();
  const body = { derive, description: values.text('description') };
  const made = await client.send<VersionResource>(
    'POST',
    `/v1/adapters/${part(adapter)}/versions?create=true`,
    body,
  );
  const version = values.flag('wait') ? await waitForVersion(client, made, { print, signal }) : made;
  print.result(version, ({ version: number, state, derivation }) =>
    [`${adapter}@${number} is ${state}`, ...lossOf(derivation)].join('\n'),
  );
}

function lossOf(derivation: VersionResource['derivation']): string[] {
  const result = derivation?.result;
  if (!result) return [];
  const { rank, relative_error: error } = result;
  return [`rank ${rank}${error === null ? '' : `, relative error ${error.toPrecision(3)}`}`];
}

export const deriveCommands: readonly Command[] = [compose, shrink, convert];
