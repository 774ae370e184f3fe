import type {
  CreatedWebhookEndpoint,
  WebhookDeliveryResource,
  WebhookEndpointResource,
} from '#contracts/webhook-endpoints-api.js';
import { part } from '../api-client.js';
import { type Call, type Command, PAGE_OPTIONS } from '../command.js';
import type { Page } from '../printer.js';
import { recordText } from '../table.js';
import { showSecretOnce } from './secrets.js';

const PATH = '/v1/webhook-endpoints';
const ENDPOINT = { name: 'ENDPOINT', help: 'its id' };
const YES = { yes: { kind: 'flag', help: 'do not ask' } } as const;

const list: Command = {
  path: ['endpoints', 'list'],
  summary: 'list who is told, by signed webhooks, of what happens to adapters',
  options: PAGE_OPTIONS,
  async run({ values, print, api }) {
    const page = await (await api()).get<Page<WebhookEndpointResource>>(PATH, {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['URL', 'EVENTS', 'STATE', 'FAILING SINCE', 'ID'], (each) => [
      each.url,
      each.events.join(','),
      each.enabled ? 'enabled' : 'disabled',
      each.failing_since,
      each.id,
    ]);
  },
};

const create: Command = {
  path: ['endpoints', 'create'],
  summary: 'tell a URL of events; its secret is shown this once',
  operands: [{ name: 'URL', help: 'where to post to' }],
  options: {
    event: { kind: 'list', value: 'TYPE', help: 'e.g. adapter.version.ready (default all)' },
    description: { kind: 'text', value: 'TEXT', help: 'what it is for' },
  },
  async run({ values, print, api }) {
    const events = values.list('event');
    const body = {
      url: values.operand('URL'),
      events: events.length > 0 ? events : ['*'],
      description: values.text('description'),
    };
    showSecretOnce(print, await (await api()).send<CreatedWebhookEndpoint>('POST', PATH, body));
  },
};

const show: Command = {
  path: ['endpoints', 'show'],
  summary: 'show an endpoint',
  operands: [ENDPOINT],
  async run({ values, print, api }) {
    const path = `${PATH}/${part(values.operand('ENDPOINT'))}`;
    print.result(await (await api()).get<WebhookEndpointResource>(path), endpointText);
  },
};

const enable: Command = {
  path: ['endpoints', 'enable'],
  summary: 'tell an endpoint of events again',
  operands: [ENDPOINT],
  run: (call) => setEnabled(call, true),
};

const disable: Command = {
  path: ['endpoints', 'disable'],
  summary: 'tell an endpoint of nothing for now',
  operands: [ENDPOINT],
  run: (call) => setEnabled(call, false),
};

const rotate: Command = {
  path: ['endpoints', 'rotate'],
  summary: 'give an endpoint a new secret and show it this once',
  operands: [ENDPOINT],
  options: { overlap: { kind: 'text', value: 'SECONDS', help: 'how long both sign (default a day)' } },
  async run({ values, print, api }) {
    const path = `${PATH}/${part(values.operand('ENDPOINT'))}/rotate`;
    const body = { overlap_seconds: values.integer('overlap', { min: 0 }) };
    showSecretOnce(print, await (await api()).send<CreatedWebhookEndpoint>('POST', path, body));
  },
};

const remove: Command = {
  path: ['endpoints', 'delete'],
  summary: 'delete an endpoint',
  operands: [ENDPOINT],
  options: YES,
  async run({ values, print, api, confirm }) {
    const id = values.operand('ENDPOINT');
    await confirm(`Delete the endpoint ${id} with its deliveries?`);
    print.result(await (await api()).send<object>('DELETE', `${PATH}/${part(id)}`), () => `deleted ${id}`);
  },
};

const deliveries: Command = {
  path: ['endpoints', 'deliveries'],
  summary: 'list what an endpoint was told, newest first',
  operands: [ENDPOINT],
  options: { state: { kind: 'text', value: 'STATE', help: 'pending, succeeded or failed' }, ...PAGE_OPTIONS },
  async run({ values, print, api }) {
    const path = `${PATH}/${part(values.operand('ENDPOINT'))}/deliveries`;
    const page = await (await api()).get<Page<WebhookDeliveryResource>>(path, {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
      state: values.text('state'),
    });
    print.list(page, ['STATE', 'TYPE', 'TRIES', 'LAST', 'NEXT TRY', 'ID'], (each) => [
      each.state,
      each.type,
      each.attempts,
      each.last_error ?? each.last_status,
      each.next_attempt_at,
      each.id,
    ]);
  },
};

const replay: Command = {
  path: ['endpoints', 'replay'],
  summary: 'tell an endpoint of an event once more',
  operands: [ENDPOINT, { name: 'DELIVERY', help: 'its id' }],
  async run({ values, print, api }) {
    const [endpoint, delivery] = [values.operand('ENDPOINT'), values.operand('DELIVERY')];
    const path = `${PATH}/${part(endpoint)}/deliveries/${part(delivery)}/replay`;
    print.result(await (await api()).send<object>('POST', path), () => `${delivery} is sent again`);
  },
};

async function setEnabled({ values, print, api }: Call, enabled: boolean): Promise<void> {
  const path = `${PATH}/${part(values.operand('ENDPOINT'))}`;
  print.result(await (await api()).send<WebhookEndpointResource>('PATCH', path, { enabled }), endpointText);
}

const endpointText = ({ object: _, ...record }: WebhookEndpointResource) => recordText(record);

export const endpointCommands: readonly Command[] = [
  list,
  create,
  show,
  enable,
  disable,
  rotate,
  remove,
  deliveries,
  replay,
];
