import type { MaintenanceResource } from '#contracts/maintenance-api.js';
import type { Command } from '../command.js';

const PATH = '/v1/admin/maintenance';

const on: Command = {
  path: ['maintenance', 'on'],
  summary: 'refuse inference and changes; reads and operators go on (operator)',
  options: {
    message: { kind: 'text', value: 'TEXT', help: 'what callers read' },
    'retry-after': { kind: 'text', value: 'SECONDS', help: 'when they shall try again (default 60)' },
  },
  async run({ values, print, api }) {
    const state = await (await api()).send<MaintenanceResource>('PUT', PATH, {
      enabled: true,
      message: values.text('message'),
      retry_after_s: values.integer('retry-after', { min: 1, max: 86_400 }),
    });
    print.result(state, text);
  },
};

const off: Command = {
  path: ['maintenance', 'off'],
  summary: 'end maintenance (operator)',
  async run({ print, api }) {
    print.result(await (await api()).send<MaintenanceResource>('PUT', PATH, { enabled: false }), text);
  },
};

const show: Command = {
  path: ['maintenance', 'show'],
  summary: 'tell whether there is maintenance (operator)',
  async run({ print, api }) {
    print.result(await (await api()).get<MaintenanceResource>(PATH), text);
  },
};

function text({ enabled, message, retry_after_s, changed_at }: MaintenanceResource): string {
  if (!enabled) return 'no maintenance';
  return `under maintenance since ${changed_at}: "${message}", retry after ${retry_after_s} s`;
}

export const maintenanceCommands: readonly Command[] = [on, off, show];
