import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type FailedChoice, ManyModelsFormat, sumOf } from '#inference/answers/many-models-format.js';
import { AdmissionService, type Admitted } from '#inference/life/admission.service.js';
import { InferenceService } from '#inference/life/inference.service.js';
import { toEnvelope } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { mergeStreams } from '#runtime/merge-streams.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { answerFault, logAnswerFault } from './answer-fault.js';
import type { Question } from './answer.service.js';
import { followClient } from './client-connection.js';
import { INFERENCE_LOGGER } from './inference-tokens.js';
import { ModelAnswer } from './model-answer.js';
import { OpeningChunks } from './opening-chunks.js';
import { SseStream } from './sse-stream.js';

/** How one endpoint writes the answers of several models. */
export interface ManyAnswersShape {
  /** Of ids: `chatcmpl-`. */
  readonly prefix: string;
  readonly object: { readonly whole: string; readonly chunk: string };
  /** Choices that each model gives. */
  readonly choices: number;
  readonly failedChoice: FailedChoice;
  readonly failedChunk: FailedChoice;
  /** Whether a stream ends with the usage. */
  readonly tellsUsage: boolean;
}

interface Asked {
  readonly questions: readonly [Question, ...Question[]];
  readonly shape: ManyAnswersShape;
}

/**
 * Asks several models the same. To the limits it is one request of all their generations; each is metered by itself, and
 * one that fails leaves the others alone.
 */
@Injectable()
export class ManyAnswers {
  constructor(
    private readonly admission: AdmissionService,
    private readonly inference: InferenceService,
    private readonly streams: OpenStreams,
    @Inject(INFERENCE_LOGGER) private readonly logger: Logger,
  ) {}

  /** Throws the first model's fault where no model begins. */
  async answer({ questions, shape }: Asked, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const connection = followClient(reply, this.streams);
    const answers = questions.map((question) => new ModelAnswer(question));
    let admitted: Admitted | undefined;
    try {
      admitted = await this.#admit(questions, request.id, reply);
      const head = { id: randomUUID().replaceAll('-', ''), created: Math.floor(Date.now() / 1000) };
      const client = connection.controller.signal;
      const start = { requestId: request.id, client, head };
      await Promise.all(answers.map((answer) => answer.start(this.inference, start)));
      throwIfNone(answers);
      const whole = { answers, shape, head: { ...head, id: `${shape.prefix}${head.id}` }, client };
      if (questions[0].stream) await stream(whole, reply);
      else await reply.send(await wholeAnswer(whole));
    } finally {
      for (const { fault } of answers) if (fault) logAnswerFault(this.logger, request.id, fault);
      await Promise.all(answers.map((answer) => answer.leave()));
      admitted?.settle(sumOf(answers.map(({ part }) => part)).total_tokens);
      connection.done();
    }
  }

  async #admit(
    questions: readonly [Question, ...Question[]],
    requestId: string,
    reply: FastifyReply,
  ): Promise<Admitted> {
    const [{ plan, caller }] = questions;
    const together = {
      ...plan,
      model: questions.map((each) => each.plan.model).join(','),
      sequences: questions.flatMap((each) => each.plan.sequences),
    };
    const admitted = await this.admission.admit({ plan: together, caller, requestId });
    for (const [name, value] of Object.entries(admitted.headers)) void reply.header(name, value);
    if (admitted.refusal) throw admitted.refusal;
    return admitted;
  }
}

interface Running {
  readonly answers: readonly ModelAnswer[];
  readonly shape: ManyAnswersShape;
  readonly head: { readonly id: string; readonly created: number };
  readonly client: AbortSignal;
}

async function wholeAnswer({ answers, shape, head }: Running): Promise<object> {
  const format = new ManyModelsFormat({ ...shape, head, object: shape.object.whole });
  for await (const { source, value } of mergeStreams(answers.map((answer) => answer.events))) {
    if (value) answers[source]?.format?.add(value.source, value.value);
  }
  throwIfNone(answers);
  return format.whole(answers.map(({ part }) => part));
}

async function stream({ answers, shape, head, client }: Running, reply: FastifyReply): Promise<void> {
  const format = new ManyModelsFormat({ ...shape, head, object: shape.object.chunk });
  const openings = answers.map(() => new OpeningChunks());
  const usage = () => sumOf(answers.map(({ part }) => part));
  const sse = new SseStream(reply);
  try {
    for (const [at, answer] of answers.entries())
      if (answer.fault) await sse.send(format.failure(at, answer.part), client);
    for await (const { source: at, value } of mergeStreams(answers.map((answer) => answer.events))) {
      const answer = answers[at];
      if (!answer) continue;
      if (value === undefined) {
        await sse.send(format.failure(at, answer.part), client);
        continue;
      }
      const { source, value: event } = value;
      const chunks = answer.format?.chunks(source, event, usage) ?? [];
      for (const chunk of openings[at]?.take(source, event, chunks) ?? [])
        await sse.send(format.chunk(chunk, at, answer.part), client);
    }
    throwIfNone(answers);
    sse.done(...(shape.tellsUsage ? [format.closing(answers.map(({ part }) => part))] : []));
  } catch (error) {
    sse.fail(toEnvelope(answerFault(error)).body);
  }
}

function throwIfNone(answers: readonly ModelAnswer[]): void {
  const [first] = answers;
  if (first?.fault && answers.every(({ fault }) => fault)) throw first.fault;
}
