import { setTimeout as sleep } from 'node:timers/promises';
import type { BaseMoveResource, MovedVersion } from '#contracts/base-moves-api.js';
import { type ApiClient, part } from '../api-client.js';
import { type Command, PAGE_OPTIONS } from '../command.js';
import { CommandError, UsageError } from '../faults.js';
import type { Page, Printer } from '../printer.js';

const PATH = '/v1/base-moves';
const MOVE = { name: 'MOVE', help: 'its id' };
const ASK_EVERY_MS = 1_000;
const REPORT_HEAD = ['VERSION', 'ALIASES', 'CHECK', 'PARITY', 'SCORE', 'STATE', 'REASON'];

const start: Command = {
  path: ['moves', 'start'],
  summary: 'move all adapters to the base model that is served now: checked, evaluated, promoted or left',
  operands: [{ name: 'ADAPTER', help: 'one adapter (default all)', optional: true }],
  options: {
    set: {
      kind: 'text',
      value: 'NAME',
      help: 'judge by this evaluation set (default: as the hooks of the adapters promote)',
    },
    'min-score': { kind: 'text', value: 'SHARE', help: 'with --set: share of prompts to pass (default 1)' },
    'max-tokens': { kind: 'text', value: 'N', help: 'with --set: length of an answer (default 64)' },
    'promote-unevaluated': { kind: 'flag', help: 'also promote what there are no prompts for' },
    rejected: { kind: 'flag', help: 'also check again what this base has rejected already' },
    wait: { kind: 'flag', help: 'until all is decided, then the report; exit code 1 when some were left' },
  },
  notes: ['After a base change. What aliases lead to is moved; `revalidate` lets versions answer unjudged.'],
  async run({ values, print, api, signal }) {
    const set = values.text('set');
    const min_score = values.number('min-score', { min: 0, max: 1 });
    const max_tokens = values.integer('max-tokens', { min: 1, max: 4096 });
    if (set === undefined && (min_score !== undefined || max_tokens !== undefined))
      throw new UsageError('--min-score and --max-tokens go with --set');
    const client = await api();
    const started = await client.send<BaseMoveResource>('POST', PATH, {
      adapter: values.optionalOperand('ADAPTER'),
      evaluate: set === undefined ? undefined : { set, min_score, max_tokens },
      ...(values.flag('promote-unevaluated') ? { unevaluated: 'promote' } : {}),
      ...(values.flag('rejected') ? { rejected: true } : {}),
    });
    if (!values.flag('wait')) return print.result(started, text);
    print.note(`move ${started.id}`);
    const ended = await untilEnded(client, { started, note: (line) => print.note(line), signal });
    await printReport(client, ended.id, print);
    if (ended.counts.left > 0)
      throw new CommandError(`${ended.counts.left} of the versions do not answer on ${ended.base_model}`);
  },
};

const list: Command = {
  path: ['moves', 'list'],
  summary: 'list moves of adapters to other base models',
  options: PAGE_OPTIONS,
  async run({ values, print, api }) {
    const page = await (await api()).get<Page<BaseMoveResource>>(PATH, {
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(
      page,
      ['BASE', 'ADAPTER', 'STATE', 'PROMOTED', 'LEFT', 'UNCHANGED', 'OPEN', 'STARTED', 'ID'],
      (each) => [
        each.base_model,
        each.adapter ?? 'all',
        each.state,
        each.counts.promoted,
        each.counts.left,
        each.counts.unchanged,
        openOf(each),
        each.created_at,
        each.id,
      ],
    );
  },
};

const show: Command = {
  path: ['moves', 'show'],
  summary: "show a move's report: what became of each version, and why",
  operands: [MOVE],
  async run({ values, print, api }) {
    const client = await api();
    const id = values.operand('MOVE');
    const move = await client.get<BaseMoveResource>(`${PATH}/${part(id)}`);
    print.note(text(move));
    await printReport(client, id, print);
  },
};

const cancel: Command = {
  path: ['moves', 'cancel'],
  summary: 'cancel a move: what is not decided yet is left',
  operands: [MOVE],
  async run({ values, print, api }) {
    const path = `${PATH}/${part(values.operand('MOVE'))}/cancel`;
    print.result(await (await api()).send<BaseMoveResource>('POST', path), text);
  },
};

async function untilEnded(
  client: ApiClient,
  { started, note, signal }: { started: BaseMoveResource; note: (line: string) => void; signal: AbortSignal },
): Promise<BaseMoveResource> {
  let now = started;
  for (let told = -1; now.state === 'running'; ) {
    if (openOf(now) !== told) note(`${openOf(now)} left`);
    told = openOf(now);
    await sleep(ASK_EVERY_MS, undefined, { signal });
    now = await client.get<BaseMoveResource>(`${PATH}/${part(started.id)}`);
  }
  return now;
}

/** All pages as one list. */
async function printReport(client: ApiClient, id: string, print: Printer): Promise<void> {
  const data: MovedVersion[] = [];
  for (let after: string | undefined; ; ) {
    const page: Page<MovedVersion> = await client.get(`${PATH}/${part(id)}/versions`, { limit: 1000, after });
    data.push(...page.data);
    if (!page.has_more || page.last_id === null) break;
    after = page.last_id;
  }
  print.list({ data, has_more: false, last_id: null }, REPORT_HEAD, (each) => [
    `${each.adapter}@${each.version}`,
    each.aliases.join(','),
    each.check?.state,
    parityText(each),
    each.evaluation && `${each.evaluation.passed}/${each.evaluation.prompts}`,
    each.state,
    each.reason,
  ]);
}

function parityText({ check }: MovedVersion): string | undefined {
  if (typeof check?.parity !== 'boolean') return undefined;
  return check.parity ? 'passed' : 'failed';
}

const openOf = ({ counts }: BaseMoveResource): number => counts.checking + counts.evaluating;

function text(move: BaseMoveResource): string {
  const { promoted, left, unchanged } = move.counts;
  const open = openOf(move);
  return (
    `${move.id}: ${move.base_model}, ${move.state}: ${promoted} promoted, ${left} left, ${unchanged} answered before` +
    (open > 0 ? `, ${open} not decided yet` : '')
  );
}

export const moveCommands: readonly Command[] = [start, list, show, cancel];
