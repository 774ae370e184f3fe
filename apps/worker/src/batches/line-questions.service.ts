import { Inject, Injectable } from '@nestjs/common';
import type { z } from 'zod';
import { StoredResponses } from '#accounts/responses/stored-responses.service.js';
import type { BatchEndpoint } from '#contracts/openai/batches.js';
import { ChatRequestSchema, VERBATIM_IN_TEMPLATES } from '#contracts/openai/chat-request.js';
import { CompletionRequestSchema } from '#contracts/openai/completion-request.js';
import { type OfOneModel, ofOneModel } from '#contracts/openai/many-models.js';
import { EmbeddingsRequestSchema } from '#contracts/openai/embeddings.js';
import { CreateResponseSchema, VERBATIM_IN_RESPONSES } from '#contracts/openai/responses/create-response.js';
import type { ResponseResource } from '#contracts/openai/responses/response.js';
import type { AnswerFormat, AnswerHead } from '#inference/answers/answer-format.js';
import { ChatFormat } from '#inference/answers/chat-format.js';
import { CompletionFormat } from '#inference/answers/completion-format.js';
import { EmbeddingFormat } from '#inference/answers/embedding-format.js';
import type { Asker } from '#inference/life/asker.js';
import { planChat } from '#inference/plan/chat-plan.js';
import { planCompletion } from '#inference/plan/completion-plan.js';
import { planEmbeddings } from '#inference/plan/embedding-plan.js';
import type { GenerationPlan } from '#inference/plan/generation-plan.js';
import { ResponseChats } from '#inference/responses/response-chats.service.js';
import { ResponseFormat } from '#inference/responses/response-format.js';
import { itemsOf, keptItems } from '#inference/responses/response-items.js';
import { AppError } from '#runtime/app-error.js';
import { JsonScanner, jsonLimits } from '#runtime/edge/json-scanner.js';
import { parseScanned } from '#runtime/edge/parse-json.js';
import { requestFault } from '#runtime/request-fault.js';
import type { SettingsOf } from '#runtime/settings.js';
import type { workerSettings } from '../settings.js';
import { WORKER_SETTINGS } from '../worker-tokens.js';

/** What a line asks, as its endpoint would take it. */
export interface LineQuestion {
  readonly plan: GenerationPlan;
  readonly format: (head: AnswerHead) => AnswerFormat;
  /** Keeps the answer before it is written down as the line's result. */
  readonly keep?: (answer: object) => Promise<void>;
}

/** Reads the body of a line by the rules of its endpoint: throws AppError with the endpoint's words. */
@Injectable()
export class LineQuestions {
  constructor(
    private readonly chats: ResponseChats,
    private readonly stored: StoredResponses,
    @Inject(WORKER_SETTINGS) private readonly settings: SettingsOf<typeof workerSettings>,
  ) {}

  async of(endpoint: BatchEndpoint, body: string, caller: Asker, signal: AbortSignal): Promise<LineQuestion> {
    switch (endpoint) {
      case '/v1/chat/completions': {
        const request = toOneModel(this.#parse(ChatRequestSchema, body, VERBATIM_IN_TEMPLATES));
        return { plan: planChat(request), format: (head) => new ChatFormat(head, request) };
      }
      case '/v1/completions': {
        const request = toOneModel(this.#parse(CompletionRequestSchema, body));
        return { plan: planCompletion(request), format: (head) => new CompletionFormat(head, request) };
      }
      case '/v1/embeddings': {
        const request = this.#parse(EmbeddingsRequestSchema, body);
        return { plan: planEmbeddings(request), format: (head) => new EmbeddingFormat(head, request) };
      }
      case '/v1/responses':
        return this.#response(body, caller, signal);
    }
  }

  async #response(body: string, caller: Asker, signal: AbortSignal): Promise<LineQuestion> {
    const request = this.#parse(CreateResponseSchema, body, VERBATIM_IN_RESPONSES);
    const { chat, plan } = await this.chats.of(request, caller, signal);
    const input = keptItems(itemsOf(request.input));
    const keep = (answer: object) =>
      this.stored.add(caller.tenant.id, { input, body: answer as ResponseResource });
    const format = (head: AnswerHead) => new ResponseFormat(head, request, chat);
    return { plan, format, ...(request.store === false ? {} : { keep }) };
  }

  #parse<S extends z.ZodType>(schema: S, text: string, verbatim: readonly string[] = []): z.infer<S> {
    const bytes = Buffer.from(text);
    const scanner = new JsonScanner(jsonLimits(this.settings.jsonLimitBytes));
    scanner.scan(bytes);
    const parsed = schema.safeParse(parseScanned(bytes, scanner, verbatim));
    if (!parsed.success) throw requestFault(parsed.error.issues);
    if ((parsed.data as { stream?: unknown }).stream === true) {
      const message = 'stream: a line of a batch is answered whole';
      throw new AppError('invalid_request', { message, param: 'stream' });
    }
    return parsed.data;
  }
}

interface Models {
  readonly model?: string | null | undefined;
  readonly models?: readonly string[] | null | undefined;
}

function toOneModel<T extends Models>(body: T): OfOneModel<T> {
  if (body.models || !body.model) {
    const message = 'models: a line of a batch asks one model';
    throw new AppError('invalid_request', { message, param: 'models' });
  }
  return ofOneModel(body, body.model);
}
