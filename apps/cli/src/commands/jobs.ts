import type { JobList, JobQueueResource, JobResource, JobWithLogs } from '#contracts/jobs-api.js';
import { part } from '../api-client.js';
import { type Call, type Command, PAGE_OPTIONS } from '../command.js';
import type { Page } from '../printer.js';
import { recordText } from '../table.js';

const PATH = '/v1/admin/jobs';
const QUEUE = { name: 'QUEUE', help: 'its name, e.g. ingest-adapter' };
const JOB = { name: 'JOB', help: "the job's id" };

const list: Command = {
  path: ['jobs', 'list'],
  summary: 'list the queues, or the jobs of one (operator)',
  operands: [{ ...QUEUE, optional: true }],
  options: {
    state: {
      kind: 'text',
      value: 'STATES',
      help: 'comma-separated: active, waiting, delayed, failed, completed',
    },
    ...PAGE_OPTIONS,
  },
  async run({ values, print, api }) {
    const client = await api();
    const queue = values.optionalOperand('QUEUE');
    if (queue === undefined) {
      const page = await client.get<Page<JobQueueResource>>(PATH);
      return print.list(
        page,
        ['QUEUE', 'ACTIVE', 'WAITING', 'DELAYED', 'FAILED', 'COMPLETED'],
        ({ id, counts }) => [
          id,
          counts.active,
          counts.waiting,
          counts.delayed,
          counts.failed,
          counts.completed,
        ],
      );
    }
    const page = await client.get<JobList>(`${PATH}/${part(queue)}`, {
      state: values.text('state'),
      limit: values.integer('limit', { min: 1, max: 1000 }) ?? 50,
      after: values.text('after'),
    });
    print.list(page, ['JOB', 'STATE', 'STAGE', 'ATTEMPTS', 'CREATED', 'FAILURE'], (each) => [
      each.id,
      each.state,
      each.progress?.stage,
      each.attempts,
      each.created_at,
      each.failure,
    ]);
  },
};

const show: Command = {
  path: ['jobs', 'show'],
  summary: 'show a job with its progress and log (operator)',
  operands: [QUEUE, JOB],
  async run({ values, print, api }) {
    const job = await (await api()).get<JobWithLogs>(jobPath(values));
    print.result(job, ({ object: _, logs, ...record }) => [recordText(record), '', ...logs].join('\n'));
  },
};

const retry: Command = {
  path: ['jobs', 'retry'],
  summary: 'run a failed job again (operator)',
  operands: [QUEUE, JOB],
  run: (call) => order(call, 'retry'),
};

const cancel: Command = {
  path: ['jobs', 'cancel'],
  summary: 'give up a job that has not ended (operator)',
  operands: [QUEUE, JOB],
  run: (call) => order(call, 'cancel'),
};

async function order({ values, print, api }: Call, verb: 'retry' | 'cancel'): Promise<void> {
  const job = await (await api()).send<JobResource>('POST', `${jobPath(values)}/${verb}`);
  print.result(job, ({ id, state, failure }) => `${id} is ${state}${failure === null ? '' : `: ${failure}`}`);
}

function jobPath(values: Call['values']): string {
  return `${PATH}/${part(values.operand('QUEUE'))}/${part(values.operand('JOB'))}`;
}

export const jobCommands: readonly Command[] = [list, show, retry, cancel];
