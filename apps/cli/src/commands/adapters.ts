import type { AdapterResource, VersionResource } from '#contracts/adapters-api.js';
import { part } from '../api-client.js';
import { type Command, PAGE_OPTIONS } from '../command.js';
import type { Page } from '../printer.js';
import { bytesText, recordText } from '../table.js';
import { readPairs, readVersion } from '../values.js';
import { waitForVersion } from '../wait-for-version.js';

const ADAPTER = { name: 'ADAPTER', help: 'its name' };
const DESCRIPTION = { kind: 'text', value: 'TEXT', help: 'what it is for' } as const;
const LABEL = { kind: 'list', value: 'KEY=VALUE', help: 'a label' } as const;

const list: Command = {
  path: ['adapters', 'list'],
  summary: 'list adapters, newest first',
  options: {
    label: { kind: 'text', value: 'KEY[=VALUE]', help: 'only those with this label' },
    ...PAGE_OPTIONS,
  },
  async run({ values, print, api }) {
    const page = await (await api()).get<Page<AdapterResource>>('/v1/adapters', {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
      label: values.text('label'),
    });
    print.list(page, ['NAME', 'BASE MODEL', 'LABELS', 'CREATED', 'ID'], (each) => [
      each.name,
      each.base_model,
      Object.entries(each.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(','),
      each.created_at,
      each.id,
    ]);
  },
};

const show: Command = {
  path: ['adapters', 'show'],
  summary: 'show an adapter, or one of its versions with its report',
  operands: [{ name: 'ADAPTER[@VERSION]', help: 'e.g. support-bot or support-bot@3' }],
  async run({ values, print, api }) {
    const client = await api();
    const name = values.operand('ADAPTER[@VERSION]');
    if (!name.includes('@')) {
      const adapter = await client.get<AdapterResource>(`/v1/adapters/${part(name)}`);
      return print.result(adapter, ({ object: _, ...record }) => recordText(record));
    }
    const { adapter, version } = readVersion(name);
    const found = await client.get<VersionResource>(`/v1/adapters/${part(adapter)}/versions/${version}`);
    print.result(found, ({ object: _, report, ...record }) => {
      const errors = report?.errors.map(({ message }) => `error: ${message}`) ?? [];
      const warnings = report?.warnings.map(({ message }) => `warning: ${message}`) ?? [];
      return [recordText(record), ...errors, ...warnings].join('\n');
    });
  },
};

const create: Command = {
  path: ['adapters', 'create'],
  summary: 'create an adapter without a version (push creates it too)',
  operands: [ADAPTER],
  options: { description: DESCRIPTION, label: LABEL },
  async run({ values, print, api }) {
    const created = await (await api()).send<AdapterResource>('POST', '/v1/adapters', {
      name: values.operand('ADAPTER'),
      description: values.text('description'),
      labels: readPairs('--label', values.list('label')),
    });
    print.result(created, ({ name, id }) => `created ${name} (${id})`);
  },
};

const remove: Command = {
  path: ['adapters', 'delete'],
  summary: 'delete an adapter with all its versions, or one version',
  operands: [{ name: 'ADAPTER[@VERSION]', help: 'e.g. support-bot or support-bot@3' }],
  options: {
    force: { kind: 'flag', help: 'an adapter also while an alias serves it' },
    yes: { kind: 'flag', help: 'do not ask' },
  },
  async run({ values, print, api, confirm }) {
    const name = values.operand('ADAPTER[@VERSION]');
    await confirm(name.includes('@') ? `Delete ${name}?` : `Delete ${name} with all its versions?`);
    const client = await api();
    let path = `/v1/adapters/${part(name)}${values.flag('force') ? '?force=true' : ''}`;
    if (name.includes('@')) {
      const { adapter, version } = readVersion(name);
      path = `/v1/adapters/${part(adapter)}/versions/${version}`;
    }
    print.result(await client.send<object>('DELETE', path), () => `deleted ${name}`);
  },
};

const versions: Command = {
  path: ['adapters', 'versions'],
  summary: "list an adapter's versions, newest first",
  operands: [ADAPTER],
  options: PAGE_OPTIONS,
  async run({ values, print, api }) {
    const path = `/v1/adapters/${part(values.operand('ADAPTER'))}/versions`;
    const page = await (await api()).get<Page<VersionResource>>(path, {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['VERSION', 'STATE', 'RANK', 'SIZE', 'SOURCE', 'CREATED', 'DIGEST', 'ID'], (each) => [
      each.version,
      each.state,
      each.rank,
      each.bytes === null ? null : bytesText(each.bytes),
      each.source,
      each.created_at,
      each.digest?.slice(0, 12),
      each.id,
    ]);
  },
};

const importVersion: Command = {
  path: ['adapters', 'import'],
  summary: 'let the server fetch a version itself',
  operands: [ADAPTER, { name: 'SOURCE', help: 'https://..., s3://... or hf://org/repo@revision' }],
  options: {
    description: DESCRIPTION,
    label: LABEL,
    wait: { kind: 'flag', help: 'until the version is ready or rejected' },
    'no-create': { kind: 'flag', help: 'fail when there is no such adapter' },
  },
  async run({ values, print, api, signal }) {
    const client = await api();
    const path = `/v1/adapters/${part(values.operand('ADAPTER'))}/versions`;
    const begun = await client.send<VersionResource>(
      'POST',
      `${path}${values.flag('no-create') ? '' : '?create=true'}`,
      {
        source: values.operand('SOURCE'),
        description: values.text('description'),
        labels: readPairs('--label', values.list('label')),
      },
    );
    const version = values.flag('wait') ? await waitForVersion(client, begun, { print, signal }) : begun;
    print.result(version, ({ adapter, version: number, state }) => `${adapter}@${number} is ${state}`);
  },
};

export const adapterCommands: readonly Command[] = [list, show, create, versions, importVersion, remove];
