import type { EngineResource } from '#contracts/engines-api.js';
import { part } from '../api-client.js';
import type { Call, Command } from '../command.js';
import type { Page } from '../printer.js';
import { bytesText, recordText, tableText } from '../table.js';

const PATH = '/v1/admin/engines';
const ENGINE = { name: 'ENGINE', help: 'its id or name' };

const list: Command = {
  path: ['engines', 'list'],
  summary: 'list engines with their load (operator)',
  async run({ print, api }) {
    const page = await (await api()).get<Page<EngineResource>>(PATH);
    print.list(
      page,
      ['ID', 'NAME', 'STATE', 'DEVICE', 'MODEL', 'RUNNING', 'WAITING', 'KV FREE', 'ADAPTERS'],
      (each) => [
        each.id,
        each.name,
        each.state,
        each.device,
        each.base_model?.name,
        each.load.running_requests,
        each.load.waiting_requests,
        `${each.kv.free_pages} of ${each.kv.pages}`,
        `${each.adapters.resident.length}, ${bytesText(each.adapters.bytes)}`,
      ],
    );
  },
};

const show: Command = {
  path: ['engines', 'show'],
  summary: 'show an engine with its resident adapters (operator)',
  operands: [ENGINE],
  async run({ values, print, api }) {
    const found = await (await api()).get<EngineResource>(`${PATH}/${part(values.operand('ENGINE'))}`);
    print.result(found, engineText);
  },
};

const drain: Command = {
  path: ['engines', 'drain'],
  summary: 'let an engine finish what it runs and take nothing new (operator)',
  operands: [ENGINE],
  run: (call) => order(call, 'drain'),
};

const undrain: Command = {
  path: ['engines', 'undrain'],
  summary: 'send requests to a drained engine again (operator)',
  operands: [ENGINE],
  run: (call) => order(call, 'undrain'),
};

async function order({ values, print, api }: Call, verb: 'drain' | 'undrain'): Promise<void> {
  const path = `${PATH}/${part(values.operand('ENGINE'))}/${verb}`;
  const engine = await (await api()).send<EngineResource>('POST', path);
  print.result(
    engine,
    ({ id, state, load }) => `${id} is ${state}; it runs ${load.running_requests} requests`,
  );
}

function engineText({ object: _, base_model, load, kv, adapters, ...record }: EngineResource): string {
  const { resident, ...memory } = adapters;
  const head = recordText({ ...record, base_model: base_model?.name, ...load, kv, adapters: memory });
  if (resident.length === 0) return head;
  const rows = resident.map(({ digest, bytes, requests, versions }) => [
    digest.slice(0, 12),
    bytesText(bytes),
    requests,
    versions.map(({ tenant, adapter, version }) => `${tenant}/${adapter}@${version}`).join(', '),
  ]);
  return `${head}\n\n${tableText(['DIGEST', 'SIZE', 'REQUESTS', 'VERSIONS'], rows)}`;
}

export const engineCommands: readonly Command[] = [list, show, drain, undrain];
