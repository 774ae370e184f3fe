import type { AliasResource, AliasWithHistory } from '#contracts/adapters-api.js';
import { part } from '../api-client.js';
import type { Command } from '../command.js';
import type { Page } from '../printer.js';
import { readVersion } from '../values.js';

const ALIAS = { kind: 'text', value: 'NAME', help: 'the alias (default production)' } as const;
const PRODUCTION = 'production';

const list: Command = {
  path: ['adapters', 'aliases'],
  summary: 'list where the aliases of an adapter point',
  operands: [{ name: 'ADAPTER', help: 'its name' }],
  async run({ values, print, api }) {
    const path = `/v1/adapters/${part(values.operand('ADAPTER'))}/aliases`;
    const page = await (await api()).get<Page<AliasResource>>(path);
    print.list(page, ['ALIAS', 'VERSIONS', 'REVISION', 'CHANGED'], (each) => [
      each.name,
      routesText(each),
      each.revision,
      each.updated_at,
    ]);
  },
};

const promote: Command = {
  path: ['adapters', 'promote'],
  summary: 'point an alias at a version',
  operands: [{ name: 'ADAPTER@VERSION', help: 'e.g. support-bot@3' }],
  options: { alias: ALIAS },
  async run({ values, print, api }) {
    const { adapter, version } = readVersion(values.operand('ADAPTER@VERSION'));
    const path = aliasPath(adapter, values.text('alias'));
    const body = { routes: [{ version, weight: 1 }] };
    print.result(await (await api()).send<AliasWithHistory>('PUT', path, body), aliasText);
  },
};

const rollback: Command = {
  path: ['adapters', 'rollback'],
  summary: 'point an alias back at what it pointed at before',
  operands: [{ name: 'ADAPTER', help: 'its name' }],
  options: { alias: ALIAS },
  async run({ values, print, api }) {
    const path = `${aliasPath(values.operand('ADAPTER'), values.text('alias'))}/rollback`;
    print.result(await (await api()).send<AliasWithHistory>('POST', path), aliasText);
  },
};

function aliasPath(adapter: string, alias = PRODUCTION): string {
  return `/v1/adapters/${part(adapter)}/aliases/${part(alias)}`;
}

function aliasText(alias: AliasResource): string {
  return `${alias.adapter}:${alias.name} points at ${routesText(alias)} (revision ${alias.revision})`;
}

function routesText({ routes }: Pick<AliasResource, 'routes'>): string {
  const total = routes.reduce((sum, { weight }) => sum + weight, 0);
  if (routes.length === 1) return `@${routes[0]?.version}`;
  return routes
    .map(({ version, weight }) => `@${version} ${((weight / total) * 100).toFixed(1)} %`)
    .join(', ');
}

export const aliasCommands: readonly Command[] = [list, promote, rollback];
