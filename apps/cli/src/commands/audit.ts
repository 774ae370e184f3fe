import type { AuditEntryResource } from '#contracts/audit-api.js';
import { type Command, PAGE_OPTIONS } from '../command.js';
import type { Page } from '../printer.js';

export const audit: Command = {
  path: ['audit'],
  summary: 'list who changed what, newest first (operator)',
  options: {
    of: { kind: 'text', value: 'TENANT', help: 'only what concerns this tenant' },
    actor: { kind: 'text', value: 'ACTOR', help: "api_key, operator, hook, system, or an actor's id" },
    action: { kind: 'text', value: 'ACTION', help: 'e.g. adapter.alias.set, or api_key.* for all of a kind' },
    subject: { kind: 'text', value: 'ID', help: 'the id of what was changed' },
    from: { kind: 'text', value: 'TIME', help: 'ISO 8601 in UTC' },
    to: { kind: 'text', value: 'TIME', help: 'before this time' },
    ...PAGE_OPTIONS,
  },
  notes: ['--json shows each change with what was before and after.'],
  async run({ values, print, api }) {
    const page = await (await api()).get<Page<AuditEntryResource>>('/v1/admin/audit', {
      tenant: values.text('of'),
      actor: values.text('actor'),
      action: values.text('action'),
      subject: values.text('subject'),
      from: values.text('from'),
      to: values.text('to'),
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['TIME', 'ACTOR', 'ACTION', 'SUBJECT', 'ADDRESS', 'REQUEST'], (each) => [
      each.created_at,
      each.actor.type === 'operator' ? 'operator' : `${each.actor.type} ${each.actor.id}`,
      each.action,
      each.subject.id,
      each.address,
      each.request_id,
    ]);
  },
};
