import type { PendingChange, ProtectionResource } from '#contracts/pending-changes-api.js';
import { part } from '../api-client.js';
import { type Command, type Option, PAGE_OPTIONS } from '../command.js';
import type { Page } from '../printer.js';
import { aliasPath, routesText, waitingText } from './aliases.js';

const ADAPTER = { name: 'ADAPTER', help: 'its name' };
const ALIAS = { kind: 'text', value: 'NAME', help: 'the alias (default production)' } as const;
const CHANGE = { name: 'CHANGE', help: 'its id, as `adapters changes` shows it' };
const REASON: Option = { kind: 'text', value: 'TEXT', help: 'why; it is kept with the change' };
const PATH = '/v1/pending-changes';

const protect = protection('protect', true, 'let each change of an alias wait for a second key or person');
const unprotect = protection('unprotect', false, 'end that; where you are no operator, this waits as well');

function protection(word: string, isProtected: boolean, summary: string): Command {
  return {
    path: ['adapters', word],
    summary,
    operands: [ADAPTER],
    options: { alias: ALIAS },
    async run({ values, print, api }) {
      const path = `${aliasPath(values.operand('ADAPTER'), values.text('alias'))}/protection`;
      const body = { protected: isProtected };
      const answer = await (await api()).send<ProtectionResource | PendingChange>('PUT', path, body);
      print.result(answer, (shown) =>
        'requested_by' in shown
          ? waitingText(shown)
          : `${shown.adapter}:${shown.alias} is ${shown.protected ? 'protected' : 'no longer protected'}`,
      );
    },
  };
}

const changes: Command = {
  path: ['adapters', 'changes'],
  summary: 'list changes of protected aliases that wait for a second key',
  operands: [{ ...ADAPTER, optional: true }],
  options: {
    ...PAGE_OPTIONS,
    all: { kind: 'flag', help: 'also those that were decided or have ended otherwise' },
  },
  async run({ values, print, api }) {
    const query = {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
      adapter: values.optionalOperand('ADAPTER'),
      state: values.flag('all') ? undefined : 'pending',
    };
    const page = await (await api()).get<Page<PendingChange>>(PATH, query);
    print.list(page, ['ID', 'ALIAS', 'CHANGE', 'STATE', 'BY', 'ASKED', 'EXPIRES'], (each) => [
      each.id,
      `${each.adapter}:${each.alias}`,
      each.routes.length > 0 ? `${each.action} ${routesText(each)}` : each.action,
      each.state,
      `${each.requested_by.type} ${each.requested_by.id.slice(0, 8)}`,
      each.created_at,
      each.state === 'pending' ? each.expires_at : null,
    ]);
  },
};

const approve = decision('approve', 'make a change of a protected alias that another key asked for');
const decline = decision('decline', 'refuse it, or take back your own');

function decision(word: 'approve' | 'decline', summary: string): Command {
  return {
    path: ['adapters', word],
    summary,
    operands: [CHANGE],
    options: { reason: REASON },
    async run({ values, print, api }) {
      const body = { decision: word, reason: values.text('reason') };
      const path = `${PATH}/${part(values.operand('CHANGE'))}/decision`;
      print.result(await (await api()).send<PendingChange>('POST', path, body), decidedText);
    },
  };
}

function decidedText(change: PendingChange): string {
  const { adapter, alias, action, state } = change;
  const what =
    action === 'set' || action === 'rollback' ? `points at ${routesText(change)}` : `${action} is done`;
  return state === 'approved'
    ? `${adapter}:${alias} ${what}`
    : `${adapter}:${alias} stays: the change is ${state}`;
}

export const protectionCommands: readonly Command[] = [protect, unprotect, changes, approve, decline];
