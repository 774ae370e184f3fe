import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '#accounts/caller.js';
import { toEnvelope } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { AdmissionService, type Admitted } from '#inference/life/admission.service.js';
import type { AnswerFormat, AnswerHead } from '#inference/answers/answer-format.js';
import { answerFault, logAnswerFault } from './answer-fault.js';
import { type ClientConnection, followClient } from './client-connection.js';
import type { GenerationPlan } from '#inference/plan/generation-plan.js';
import { type Generation, InferenceService } from '#inference/life/inference.service.js';
import { envelopeIn } from './error-envelope.js';
import { INFERENCE_LOGGER } from './inference-tokens.js';
import { OpeningChunks } from './opening-chunks.js';
import { SseStream, type StreamStyle } from './sse-stream.js';

export interface Question {
  readonly plan: GenerationPlan;
  readonly format: (head: AnswerHead) => AnswerFormat;
  readonly stream: boolean;
  readonly style: StreamStyle;
  /** Keeps the answer before its end is sent. */
  readonly keep?: (answer: object) => Promise<void>;
  readonly caller: Caller;
}

/** Answers a planned request over HTTP: as one JSON object, or as server-sent events. */
@Injectable()
export class AnswerService {
  constructor(
    private readonly admission: AdmissionService,
    private readonly inference: InferenceService,
    private readonly streams: OpenStreams,
    @Inject(INFERENCE_LOGGER) private readonly logger: Logger,
  ) {}

  /** Faults before the first byte are thrown, later ones are told in the stream. */
  async answer(question: Question, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const connection = followClient(reply, this.streams);
    const { plan, caller } = question;
    let admitted: Admitted | undefined;
    let generation: Generation | undefined;
    try {
      admitted = await this.#admit(question, request, reply);
      const { controller } = connection;
      generation = await this.inference.start({ plan, caller, requestId: request.id, controller });
      const format = question.format(generation.head);
      if (question.stream) await this.#stream({ question, generation, format, connection, request, reply });
      else await reply.send(await wholeAnswer(question, generation, format));
    } finally {
      admitted?.settle(generation?.usage().total_tokens ?? 0);
      connection.done();
    }
  }

  async #admit({ plan, caller }: Question, { id }: FastifyRequest, reply: FastifyReply): Promise<Admitted> {
    const admitted = await this.admission.admit({ plan, caller, requestId: id });
    for (const [name, value] of Object.entries(admitted.headers)) void reply.header(name, value);
    if (admitted.refusal) throw admitted.refusal;
    return admitted;
  }

  async #stream(answer: StreamedAnswer): Promise<void> {
    const { question, generation, format, connection, request, reply } = answer;
    const { signal } = connection.controller;
    const sse = new SseStream(reply, { style: question.style });
    try {
      const openings = new OpeningChunks();
      for await (const { source, value } of generation.events) {
        const chunks = format.chunks(source, value, generation.usage);
        for (const chunk of openings.take(source, value, chunks)) await sse.send(chunk, signal);
      }
      await question.keep?.(format.whole(generation.usage()));
      sse.done(...format.closing(generation.usage()));
    } catch (error) {
      const fault = answerFault(error);
      const envelope = toEnvelope(fault);
      sse.fail(...(format.failing?.(envelope.body) ?? [envelopeIn(question.style, envelope, request.id)]));
      logAnswerFault(this.logger, request.id, fault);
    }
  }
}

interface StreamedAnswer {
  readonly question: Question;
  readonly generation: Generation;
  readonly format: AnswerFormat;
  readonly connection: ClientConnection;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

async function wholeAnswer(
  { keep }: Question,
  generation: Generation,
  format: AnswerFormat,
): Promise<object> {
  for await (const { source, value } of generation.events) format.add(source, value);
  const answer = format.whole(generation.usage());
  await keep?.(answer);
  return answer;
}
