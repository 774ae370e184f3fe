import type { CreatedHook, HookDelivery, HookResource } from '#contracts/hooks-api.js';
import { part } from '../api-client.js';
import { type Command, PAGE_OPTIONS } from '../command.js';
import type { Page } from '../printer.js';
import { recordText } from '../table.js';
import { showSecretOnce } from './secrets.js';

const PATH = '/v1/hooks';
const HOOK = { name: 'HOOK', help: 'its id' };
const YES = { yes: { kind: 'flag', help: 'do not ask' } } as const;

const list: Command = {
  path: ['hooks', 'list'],
  summary: 'list where fine-tune pipelines announce what they trained',
  options: PAGE_OPTIONS,
  async run({ values, print, api }) {
    const page = await (await api()).get<Page<HookResource>>(PATH, {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['NAME', 'ADAPTER', 'PROMOTES', 'CREATED', 'ID'], (each) => [
      each.name,
      each.adapter,
      each.promote?.alias,
      each.created_at,
      each.id,
    ]);
  },
};

const create: Command = {
  path: ['hooks', 'create'],
  summary: 'make a hook; its secret is shown this once',
  operands: [{ name: 'NAME', help: 'what it is for' }],
  options: {
    adapter: { kind: 'text', value: 'NAME', help: 'take versions of this adapter alone' },
    promote: { kind: 'text', value: 'ALIAS', help: 'point this alias at each version that becomes ready' },
  },
  async run({ values, print, api }) {
    const body = {
      name: values.operand('NAME'),
      adapter: values.text('adapter'),
      promote: values.text('promote'),
    };
    const created = await (await api()).send<CreatedHook>('POST', PATH, body);
    showSecretOnce(print, created, `post events to ${created.url}`);
  },
};

const show: Command = {
  path: ['hooks', 'show'],
  summary: 'show a hook',
  operands: [HOOK],
  async run({ values, print, api }) {
    const hook = await (await api()).get<HookResource>(`${PATH}/${part(values.operand('HOOK'))}`);
    print.result(hook, ({ object: _, ...record }) => recordText(record));
  },
};

const rotate: Command = {
  path: ['hooks', 'rotate'],
  summary: 'give a hook a new secret and show it this once',
  operands: [HOOK],
  options: {
    overlap: { kind: 'text', value: 'SECONDS', help: 'how long the old one is taken too (default a day)' },
  },
  async run({ values, print, api }) {
    const body = { overlap_seconds: values.integer('overlap', { min: 0 }) };
    const path = `${PATH}/${part(values.operand('HOOK'))}/rotate`;
    showSecretOnce(print, await (await api()).send<CreatedHook>('POST', path, body));
  },
};

const remove: Command = {
  path: ['hooks', 'delete'],
  summary: 'delete a hook',
  operands: [HOOK],
  options: YES,
  async run({ values, print, api, confirm }) {
    const id = values.operand('HOOK');
    await confirm(`Delete the hook ${id}? Pipelines that post to it will be refused.`);
    print.result(await (await api()).send<object>('DELETE', `${PATH}/${part(id)}`), () => `deleted ${id}`);
  },
};

const deliveries: Command = {
  path: ['hooks', 'deliveries'],
  summary: 'list the events posted to a hook and what became of them',
  operands: [HOOK],
  options: PAGE_OPTIONS,
  async run({ values, print, api }) {
    const path = `${PATH}/${part(values.operand('HOOK'))}/deliveries`;
    const page = await (await api()).get<Page<HookDelivery>>(path, {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['STATE', 'TYPE', 'JOB', 'VERSION', 'REASON', 'CREATED', 'ID'], (each) => [
      each.state,
      each.type,
      each.job_id,
      each.adapter === null || each.version === null ? each.adapter : `${each.adapter}@${each.version}`,
      each.reason,
      each.created_at,
      each.id,
    ]);
  },
};

export const hookCommands: readonly Command[] = [list, create, show, rotate, remove, deliveries];
