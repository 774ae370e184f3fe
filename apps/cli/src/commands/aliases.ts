import type { AliasResource, AliasWithHistory } from '#contracts/adapters-api.js';
import type { ShadowReport } from '#contracts/alias-trials.js';
import type { PendingChange } from '#contracts/pending-changes-api.js';
import { part } from '../api-client.js';
import type { Command, Option } from '../command.js';
import { UsageError } from '../faults.js';
import type { Page } from '../printer.js';
import { durationText, recordText } from '../table.js';
import { readInteger, readVersion, type Values } from '../values.js';

type Deleted = { readonly deleted: true };

const ALIAS = { kind: 'text', value: 'NAME', help: 'the alias (default production)' } as const;
const ADAPTER = { name: 'ADAPTER', help: 'its name' };
const PRODUCTION = 'production';

/** How a change is tried before it serves everyone. */
const TRIAL: Readonly<Record<string, Option>> = {
  shadow: {
    kind: 'text',
    value: 'VERSION[=SHARE]',
    help: 'copy requests to this version and compare (share 0 to 1, default 1)',
  },
  'max-error-rate': {
    kind: 'text',
    value: 'R',
    help: 'go back when more than this share of requests fails, e.g. 0.05',
  },
  'max-tpot': { kind: 'text', value: 'MS', help: 'go back when a token takes longer than this' },
  'min-requests': { kind: 'text', value: 'N', help: 'judge nothing before so many requests (default 20)' },
  watch: { kind: 'text', value: 'SECONDS', help: 'how long the change is watched (default 600)' },
};

const list: Command = {
  path: ['adapters', 'aliases'],
  summary: 'list where the aliases of an adapter point',
  operands: [ADAPTER],
  async run({ values, print, api }) {
    const path = `/v1/adapters/${part(values.operand('ADAPTER'))}/aliases`;
    const page = await (await api()).get<Page<AliasResource>>(path);
    print.list(page, ['ALIAS', 'VERSIONS', 'SHADOW', 'REVISION', 'CHANGED'], (each) => [
      each.name,
      routesText(each),
      each.shadow && `@${each.shadow.version}`,
      each.revision,
      each.updated_at,
    ]);
  },
};

const promote: Command = {
  path: ['adapters', 'promote'],
  summary: 'point an alias at a version',
  operands: [{ name: 'ADAPTER@VERSION', help: 'e.g. support-bot@3' }],
  options: { alias: ALIAS, ...TRIAL },
  notes: [
    'With --max-error-rate or --max-tpot the alias goes back by itself when the version breaks a bound.',
  ],
  async run({ values, print, api }) {
    const { adapter, version } = readVersion(values.operand('ADAPTER@VERSION'));
    const path = aliasPath(adapter, values.text('alias'));
    const body = { routes: [{ version, weight: 1 }], ...trialOf(values) };
    print.result(await (await api()).send<AliasWithHistory | PendingChange>('PUT', path, body), aliasText);
  },
};

const split: Command = {
  path: ['adapters', 'split'],
  summary: 'spread an alias over versions by weight',
  operands: [ADAPTER],
  options: {
    to: { kind: 'list', value: 'VERSION=WEIGHT', help: 'a version and its share, e.g. --to 2=90 --to 3=10' },
    alias: ALIAS,
    ...TRIAL,
  },
  notes: ['The same user always meets the same version.'],
  async run({ values, print, api }) {
    const routes = values.list('to').map(readRoute);
    if (routes.length === 0) throw new UsageError('--to VERSION=WEIGHT is required, once for each version');
    const path = aliasPath(values.operand('ADAPTER'), values.text('alias'));
    const body = { routes, ...trialOf(values) };
    print.result(await (await api()).send<AliasWithHistory | PendingChange>('PUT', path, body), aliasText);
  },
};

const rollback: Command = {
  path: ['adapters', 'rollback'],
  summary: 'point an alias back at what it pointed at before',
  operands: [ADAPTER],
  options: {
    alias: ALIAS,
    emergency: {
      kind: 'text',
      value: 'REASON',
      help: 'of a protected alias: at once, without a second key; the reason is audited',
    },
  },
  async run({ values, print, api }) {
    const path = `${aliasPath(values.operand('ADAPTER'), values.text('alias'))}/rollback`;
    const query = { emergency: values.text('emergency') };
    const response = await (await api()).fetch('POST', path, { query });
    print.result((await response.json()) as AliasWithHistory | PendingChange, aliasText);
  },
};

const unalias: Command = {
  path: ['adapters', 'unalias'],
  summary: 'delete an alias',
  operands: [ADAPTER, { name: 'ALIAS', help: 'its name' }],
  options: { yes: { kind: 'flag', help: 'do not ask' } },
  async run({ values, print, api, confirm }) {
    const [adapter, alias] = [values.operand('ADAPTER'), values.operand('ALIAS')];
    await confirm(`Delete the alias ${adapter}:${alias}?`);
    const answer = await (await api()).send<Deleted | PendingChange>('DELETE', aliasPath(adapter, alias));
    print.result(answer, (shown) =>
      'requested_by' in shown ? waitingText(shown) : `deleted ${adapter}:${alias}`,
    );
  },
};

const shadow: Command = {
  path: ['adapters', 'shadow'],
  summary: 'show how the shadow of an alias compares with what it serves',
  operands: [ADAPTER],
  options: { alias: ALIAS },
  async run({ values, print, api }) {
    const path = `${aliasPath(values.operand('ADAPTER'), values.text('alias'))}/shadow`;
    print.result(await (await api()).get<ShadowReport>(path), shadowText);
  },
};

function shadowText({ shadow: copied, requests, agreement, latency, errors }: ShadowReport): string {
  const percent = (share: number | null) => (share === null ? null : `${(share * 100).toFixed(1)} %`);
  return recordText({
    candidate: copied && `@${copied.version}, ${percent(copied.share)} of requests`,
    requests: `${requests.compared} compared, ${requests.failed} failed, ${requests.dropped} dropped`,
    'equal answers': percent(agreement.exact_rate),
    'equal tokens': percent(agreement.token_match_rate),
    'first token': `${durationText(latency.served.ttft_ms)} served, ${durationText(latency.candidate.ttft_ms)} candidate`,
    'each token': `${durationText(latency.served.tpot_ms)} served, ${durationText(latency.candidate.tpot_ms)} candidate`,
    errors: Object.entries(errors).map(([code, count]) => `${count} ${code}`),
  });
}

function readRoute(text: string): { version: number; weight: number } {
  const match = /^@?(\d{1,9})=(\d+(?:\.\d+)?)%?$/.exec(text);
  const weight = Number(match?.[2]);
  if (!match || !(weight > 0))
    throw new UsageError(`--to: expected VERSION=WEIGHT, e.g. 3=10, got "${text}"`);
  return { version: Number(match[1]), weight };
}

function trialOf(values: Values): object {
  const shadowed = values.text('shadow');
  const maxErrorRate = values.number('max-error-rate', { min: 0, max: 1 });
  const maxTpot_ms = values.number('max-tpot', { min: 0.001, max: 1e9 });
  const min_requests = values.integer('min-requests', { min: 1 });
  const window_s = values.integer('watch', { min: 1 });
  const guarded = maxErrorRate !== undefined || maxTpot_ms !== undefined;
  if (!guarded && (min_requests ?? window_s) !== undefined)
    throw new UsageError('--min-requests and --watch need a bound: --max-error-rate or --max-tpot');
  const guard = { max_error_rate: maxErrorRate, max_tpot_ms: maxTpot_ms, min_requests, window_s };
  return {
    ...(shadowed === undefined ? {} : { shadow: readShadow(shadowed) }),
    ...(guarded ? { guard } : {}),
  };
}

function readShadow(text: string): { version: number; share: number } {
  const [version = '', share = '1'] = text.replace(/^@/, '').split('=');
  const value = Number(share);
  if (!(value > 0 && value <= 1))
    throw new UsageError(`--shadow: expected a share above 0 and up to 1, got "${share}"`);
  return { version: readInteger('--shadow', version, { min: 1 }), share: value };
}

export function aliasPath(adapter: string, alias = PRODUCTION): string {
  return `/v1/adapters/${part(adapter)}/aliases/${part(alias)}`;
}

function aliasText(alias: AliasResource | PendingChange): string {
  if (alias.object === 'adapter.alias.pending_change') return waitingText(alias);
  const { guard, shadow: copied } = alias;
  const more = [
    ...(copied ? [`${copied.share * 100} % of its requests are copied to @${copied.version}`] : []),
    ...(guard ? [`goes back by itself until ${guard.until}`] : []),
  ];
  const first = `${alias.adapter}:${alias.name} points at ${routesText(alias)} (revision ${alias.revision})`;
  return [first, ...more].join('\n');
}

/** What another key has to say to it. */
export function waitingText({ id, adapter, alias }: PendingChange): string {
  return `${adapter}:${alias} is protected: the change ${id} waits until another key or person approves it\n(lorikeet adapters approve ${id})`;
}

export function routesText({ routes }: Pick<AliasResource, 'routes'>): string {
  const total = routes.reduce((sum, { weight }) => sum + weight, 0);
  if (routes.length === 1) return `@${routes[0]?.version}`;
  return routes
    .map(({ version, weight }) => `@${version} ${((weight / total) * 100).toFixed(1)} %`)
    .join(', ');
}

export const aliasCommands: readonly Command[] = [list, promote, split, rollback, unalias, shadow];
