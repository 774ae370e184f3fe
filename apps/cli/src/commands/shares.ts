import type { ShareResource } from '#contracts/shares-api.js';
import { part } from '../api-client.js';
import { type Command, PAGE_OPTIONS } from '../command.js';
import type { Page } from '../printer.js';

const ADAPTER = { name: 'ADAPTER', help: 'its name' };
const TENANT = { name: 'TENANT', help: "the other tenant's name, or everyone" };

const sharePath = (adapter: string, tenant: string) =>
  `/v1/adapters/${part(adapter)}/shares/${part(tenant === 'everyone' ? '*' : tenant)}`;

const list: Command = {
  path: ['shares', 'list'],
  summary: 'list who else may call an adapter',
  operands: [ADAPTER],
  options: PAGE_OPTIONS,
  async run({ values, print, api }) {
    const path = `/v1/adapters/${part(values.operand('ADAPTER'))}/shares`;
    const page = await (await api()).get<Page<ShareResource>>(path, {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['TENANT', 'CALLS IT', 'SINCE'], (each) => [
      each.tenant === '*' ? 'everyone' : each.tenant,
      each.model,
      each.created_at,
    ]);
  },
};

const add: Command = {
  path: ['shares', 'add'],
  summary: 'let another tenant, or everyone, call an adapter',
  operands: [ADAPTER, TENANT],
  async run({ values, print, api }) {
    const path = sharePath(values.operand('ADAPTER'), values.operand('TENANT'));
    const share = await (await api()).send<ShareResource>('PUT', path);
    print.result(share, ({ tenant, model }) => `${tenant === '*' ? 'everyone' : tenant} may call ${model}`);
  },
};

const remove: Command = {
  path: ['shares', 'remove'],
  summary: 'no longer let a tenant, or everyone, call an adapter',
  operands: [ADAPTER, TENANT],
  options: { yes: { kind: 'flag', help: 'do not ask' } },
  async run({ values, print, api, confirm }) {
    const [adapter, tenant] = [values.operand('ADAPTER'), values.operand('TENANT')];
    await confirm(`Stop ${tenant} from calling ${adapter}?`);
    const removed = await (await api()).send<object>('DELETE', sharePath(adapter, tenant));
    print.result(removed, () => `${tenant} may no longer call ${adapter}`);
  },
};

export const shareCommands: readonly Command[] = [list, add, remove];
