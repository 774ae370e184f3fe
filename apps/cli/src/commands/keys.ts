import type { ApiKeyResource, CreatedKey } from '#contracts/admin-api.js';
import { type ApiClient, part } from '../api-client.js';
import { type Command, PAGE_OPTIONS } from '../command.js';
import { CommandError } from '../faults.js';
import type { Page, Printer } from '../printer.js';

const KEY = { name: 'KEY', help: 'its id' };

const list: Command = {
  path: ['keys', 'list'],
  summary: "list a tenant's API keys, newest first (operator)",
  options: PAGE_OPTIONS,
  notes: ['The tenant is that of --tenant.'],
  async run({ values, print, api }) {
    const client = await api();
    const page = await client.get<Page<ApiKeyResource>>(keysPath(client), {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['NAME', 'PREFIX', 'SCOPES', 'CREATED', 'LAST USED', 'ENDS', 'ID'], (each) => [
      each.name,
      each.prefix,
      each.scopes.join(','),
      each.created_at,
      each.last_used_at,
      each.revoked_at ? 'revoked' : each.expires_at,
      each.id,
    ]);
  },
};

const create: Command = {
  path: ['keys', 'create'],
  summary: 'create an API key and show it this once (operator)',
  operands: [{ name: 'NAME', help: 'what it is for' }],
  options: {
    scopes: {
      kind: 'text',
      value: 'LIST',
      help: 'comma-separated: inference, adapters, usage (default all)',
    },
    expires: { kind: 'text', value: 'TIME', help: 'ISO 8601 (default never)' },
  },
  async run({ values, print, api }) {
    const client = await api();
    const created = await client.send<CreatedKey>('POST', keysPath(client), {
      name: values.operand('NAME'),
      scopes: values.text('scopes')?.split(','),
      expires_at: values.text('expires'),
    });
    showOnce(print, created);
  },
};

const rotate: Command = {
  path: ['keys', 'rotate'],
  summary: 'give a key a new secret and show it this once (operator)',
  operands: [KEY],
  options: {
    grace: { kind: 'text', value: 'SECONDS', help: 'how long the old one stays valid (default 0)' },
  },
  async run({ values, print, api }) {
    const client = await api();
    const grace_seconds = values.integer('grace', { min: 0 });
    const path = `${keysPath(client)}/${part(values.operand('KEY'))}/rotate`;
    showOnce(print, await client.send<CreatedKey>('POST', path, { grace_seconds }));
  },
};

const revoke: Command = {
  path: ['keys', 'revoke'],
  summary: 'end a key at once (operator)',
  operands: [KEY],
  options: { yes: { kind: 'flag', help: 'do not ask' } },
  async run({ values, print, api, confirm }) {
    const client = await api();
    const path = `${keysPath(client)}/${part(values.operand('KEY'))}`;
    await confirm(`Revoke the key ${values.operand('KEY')}? It cannot be taken back.`);
    print.result(await client.send<ApiKeyResource>('DELETE', path), ({ name }) => `revoked ${name}`);
  },
};

/** The key alone on standard output, so that it can be piped. */
function showOnce(print: Printer, created: CreatedKey): void {
  print.note(
    `${created.name} (${created.id}) of ${created.tenant}; this is the only time that its key is shown:`,
  );
  print.result(created, ({ key }) => key);
}

function keysPath({ connection: { tenant } }: ApiClient): string {
  if (tenant === undefined) throw new CommandError('whose keys? name the tenant with --tenant');
  return `/v1/admin/tenants/${part(tenant)}/keys`;
}

export const keyCommands: readonly Command[] = [list, create, rotate, revoke];
