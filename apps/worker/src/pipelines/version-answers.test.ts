import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TenantsService } from '#accounts/tenants.service.js';
import { InferenceService } from '#inference/life/inference.service.js';
import { RequestMeter } from '#inference/meter/request-meter.js';
import type { ErrorCode } from '#contracts/errors.js';
import type { Question } from '#pipelines/hooks/pipeline-ports.js';
import { AppError } from '#runtime/app-error.js';
import { finish, start, tokens } from '../../../../test/support/engine-events.js';
import type { FakeGeneration } from '../../../../test/support/fake-engine.js';
import { type InferenceApp, KEY, startInferenceApp, TENANT } from '../../../../test/support/inference-app.js';
import { VersionAnswers } from './version-answers.service.js';

let app: InferenceApp;
let answers: VersionAnswers;
beforeAll(async () => {
  app = await startInferenceApp();
  const tenants = { find: async () => ({ ...TENANT, quotas: {} }) };
  answers = new VersionAnswers(
    app.nest.get(InferenceService, { strict: false }),
    tenants as unknown as TenantsService,
  );
});
afterAll(() => app.close());
afterEach(() => vi.restoreAllMocks());
beforeEach(() => {
  app.usage.length = 0;
  app.engine.requests.length = 0;
});

const messages = [{ role: 'user' as const, content: 'Who are you?' }];
const address = { tenantId: TENANT.id, adapter: 'support', version: 3 };
const CASES: {
  readonly name: string;
  readonly question: Question;
  readonly path: string;
  readonly body: object;
}[] = [
  {
    name: 'a chat',
    question: { address, case: { messages, expected: '', match: 'exact' }, maxTokens: 5 },
    path: '/v1/chat/completions',
    body: { messages },
  },
  {
    name: 'a text',
    question: { address, case: { prompt: 'I am', expected: '', match: 'exact' }, maxTokens: 5 },
    path: '/v1/completions',
    body: { prompt: 'I am' },
  },
];

function post(path: string, body: object): Promise<Response> {
  return fetch(app.url + path, {
    method: 'POST',
    body: JSON.stringify({ model: 'support@3', max_tokens: 5, temperature: 0, ...body }),
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
  });
}

/** Time passes with the events: 1 s before each of tokens, 60 s before the end. */
function clockByEvents(): void {
  let now_ms = 5_000_000;
  vi.spyOn(performance, 'now').mockImplementation(() => now_ms);
  const note = RequestMeter.prototype.note;
  vi.spyOn(RequestMeter.prototype, 'note').mockImplementation(function (this: RequestMeter, sequence, event) {
    now_ms += event.type === 'tokens' ? 1_000 : 60_000;
    note.call(this, sequence, event);
  });
}

describe.each(CASES)(
  'the evaluation of $name, beside the same request to the API',
  ({ question, path, body }) => {
    it('asks the engine the same and is metered the same', async () => {
      app.engine.script = (generation: FakeGeneration) => {
        generation.send(start(2), tokens('I am ', [7]), tokens('Lori', [8]), tokens('keet', [9]), finish());
        generation.end();
      };
      clockByEvents();
      const signal = new AbortController().signal;
      expect(await answers.ask(question, signal)).toBe('I am Lorikeet');
      expect((await post(path, body)).status).toBe(200);
      await vi.waitFor(() => expect(app.usage).toHaveLength(2), 10_000);
      const [evaluated, served] = app.usage.map(({ keyId: _key, requestId: _id, ...metered }) => metered);
      expect(evaluated).toEqual(served);
      expect(evaluated?.tpots_ms).toEqual([1_000]);
      expect(app.usage.map(({ keyId }) => keyId)).toEqual(['evaluation', 'key-1']);
      const [first, second] = app.engine.requests.map(({ requestId: _, ...asked }) => asked);
      expect(first).toEqual(second);
      expect(first).toMatchObject({ fairnessKey: TENANT.id, fairnessWeight: TENANT.weight });
    });

    it.each<[string, (generation: FakeGeneration) => void, ErrorCode]>([
      [
        'an engine that fails',
        (generation) => {
          generation.send(start(), { type: 'error', code: 'internal_error', message: 'it broke' });
          generation.end();
        },
        'internal_error',
      ],
      [
        'an adapter that the engine refuses',
        (generation) => {
          generation.send({ type: 'error', code: 'adapter_rejected', message: 'not this one' });
          generation.end();
        },
        'adapter_rejected',
      ],
      [
        'an answer that breaks off',
        (generation) => {
          generation.send(start(), tokens('I', [7]));
          generation.end();
        },
        'engine_unavailable',
      ],
    ])('has the same error code after %s', async (_, script, code) => {
      app.engine.script = script;
      const fault: unknown = await answers
        .ask(question, new AbortController().signal)
        .catch((error: unknown) => error);
      expect(fault).toBeInstanceOf(AppError);
      const response = await post(path, body);
      expect((fault as AppError).code).toBe(code);
      expect(await response.json()).toMatchObject({ error: { code, message: (fault as AppError).message } });
      await vi.waitFor(() => expect(app.usage).toHaveLength(2), 10_000);
      expect(app.usage.map(({ errorCode }) => errorCode)).toEqual([code, code]);
    });
  },
);

it('judges what a caller is shown, not the reasoning before it', async () => {
  app.engine.script = (generation: FakeGeneration) => {
    const formats = { reasoning: 'think', reasoningOpen: true } as const;
    generation.send({ ...start(), formats }, tokens('Well.</think>', [7]), tokens('Yes', [8]), finish());
    generation.end();
  };
  const { question } = CASES[0] as (typeof CASES)[0];
  expect(await answers.ask(question, new AbortController().signal)).toBe('Yes');
});

it('ends in the engine when the evaluation is given up', async () => {
  const gone = new Promise<void>((resolve) => {
    app.engine.script = (generation: FakeGeneration) => {
      generation.send(start(), tokens('I', [7]));
      void generation.abandoned.then(resolve);
    };
  });
  const controller = new AbortController();
  const given = answers.ask((CASES[0] as (typeof CASES)[0]).question, controller.signal);
  await vi.waitFor(() => expect(app.engine.requests).toHaveLength(1), 10_000);
  controller.abort();
  await expect(given).rejects.toBeInstanceOf(AppError);
  await gone;
  expect(app.usage).toMatchObject([{ keyId: 'evaluation', errorCode: 'engine_unavailable' }]);
});
