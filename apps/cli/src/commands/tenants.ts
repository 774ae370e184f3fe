import type { TenantResource } from '#contracts/admin-api.js';
import { part } from '../api-client.js';
import { type Call, type Command, type Option, PAGE_OPTIONS } from '../command.js';
import { UsageError } from '../faults.js';
import type { Page } from '../printer.js';
import { recordText } from '../table.js';
import { readInteger } from '../values.js';

const PATH = '/v1/admin/tenants';
const TENANT = { name: 'TENANT', help: 'its name or id' };

const list: Command = {
  path: ['tenants', 'list'],
  summary: 'list tenants, newest first (operator)',
  options: PAGE_OPTIONS,
  async run({ values, print, api }) {
    const page = await (await api()).get<Page<TenantResource>>(PATH, {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['NAME', 'STATE', 'WEIGHT', 'CREATED', 'ID'], (each) => [
      each.name,
      each.state,
      each.weight,
      each.created_at,
      each.id,
    ]);
  },
};

const create: Command = {
  path: ['tenants', 'create'],
  summary: 'create a tenant (operator)',
  operands: [{ name: 'NAME', help: 'letters, digits, `.`, `_` and `-`' }],
  async run({ values, print, api }) {
    const created = await (await api()).send<TenantResource>('POST', PATH, { name: values.operand('NAME') });
    print.result(created, ({ name, id }) => `created ${name} (${id})`);
  },
};

const show: Command = {
  path: ['tenants', 'show'],
  summary: 'show a tenant with its quotas (operator)',
  operands: [TENANT],
  async run({ values, print, api }) {
    const found = await (await api()).get<TenantResource>(`${PATH}/${part(values.operand('TENANT'))}`);
    print.result(found, tenantText);
  },
};

const suspend: Command = {
  path: ['tenants', 'suspend'],
  summary: 'refuse all calls of a tenant (operator)',
  operands: [TENANT],
  run: (call) => patch(call, { state: 'suspended' }),
};

const resume: Command = {
  path: ['tenants', 'resume'],
  summary: 'let a suspended tenant call again (operator)',
  operands: [TENANT],
  run: (call) => patch(call, { state: 'active' }),
};

const QUOTAS = {
  'requests-per-minute': 'requests in each minute',
  'tokens-per-minute': 'prompt and completion tokens in each minute',
  'concurrent-requests': 'requests at the same time',
  adapters: 'adapters',
  'stored-bytes': 'bytes of uploaded files',
  'max-context': 'tokens of one request',
};

const quotaOptions: Readonly<Record<string, Option>> = Object.fromEntries(
  Object.entries(QUOTAS).map(([name, help]) => [name, { kind: 'text', value: 'N|none', help }]),
);

const quotas: Command = {
  path: ['tenants', 'quotas'],
  summary: 'show or change what a tenant may use (operator)',
  operands: [TENANT],
  options: {
    ...quotaOptions,
    weight: { kind: 'text', value: 'W', help: 'share of the engines among tenants that wait (default 1)' },
  },
  notes: ['Changes only what is named; none takes a limit away.'],
  async run(call) {
    const { values } = call;
    const named = Object.keys(QUOTAS).flatMap((name) => {
      const text = values.text(name);
      return text === undefined ? [] : [[name.replaceAll('-', '_'), readLimit(`--${name}`, text)] as const];
    });
    const weight = values.number('weight', { min: 0.001, max: 1000 });
    if (named.length === 0 && weight === undefined) return show.run(call);
    await patch(call, {
      ...(named.length > 0 ? { quotas: Object.fromEntries(named) } : {}),
      ...(weight === undefined ? {} : { weight }),
    });
  },
};

async function patch({ values, print, api }: Call, body: object): Promise<void> {
  const path = `${PATH}/${part(values.operand('TENANT'))}`;
  print.result(await (await api()).send<TenantResource>('PATCH', path, body), tenantText);
}

function tenantText({ object: _, quotas: limits, ...record }: TenantResource): string {
  const shown = Object.entries(limits).map(([name, limit]) => [name, limit ?? 'unlimited']);
  return recordText({ ...record, ...Object.fromEntries(shown) });
}

function readLimit(what: string, text: string): number | null {
  if (text === 'none') return null;
  try {
    return readInteger(what, text, { min: 0 });
  } catch {
    throw new UsageError(`${what}: expected a whole number or none, got "${text}"`);
  }
}

export const tenantCommands: readonly Command[] = [list, create, show, suspend, resume, quotas];
