import { Injectable } from '@nestjs/common';
import { StoredResponses } from '#accounts/responses/stored-responses.service.js';
import type { ChatRequest } from '#contracts/openai/chat-request.js';
import type { CountInputTokens, CreateResponse } from '#contracts/openai/responses/create-response.js';
import type { InputItem } from '#contracts/openai/responses/items.js';
import type { TokenizeRequest } from '#contracts/openai/tokenize.js';
import type { Asker } from '../life/asker.js';
import { TokenizationService } from '../life/tokenization.service.js';
import { planChat } from '../plan/chat-plan.js';
import type { GenerationPlan } from '../plan/generation-plan.js';
import { chatFaults, chatOf } from './response-chat.js';
import { itemsOf } from './response-items.js';
import { withoutOldest } from './response-truncation.js';
import { AppError } from '#runtime/app-error.js';
import { requestFault } from '#runtime/request-fault.js';

export interface AskedChat {
  readonly chat: ChatRequest;
  readonly plan: GenerationPlan;
}

/** Makes of a request to /v1/responses the chat that is asked. */
@Injectable()
export class ResponseChats {
  constructor(
    private readonly stored: StoredResponses,
    private readonly tokenization: TokenizationService,
  ) {}

  async of(request: CreateResponse, caller: Asker, signal: AbortSignal): Promise<AskedChat> {
    const chat = chatOf(request, await this.items(request, caller));
    const faults = chatFaults(chat);
    if (faults.length > 0) throw requestFault(faults);
    const fitted = request.truncation === 'auto' ? await this.#fitted(chat, caller, signal) : chat;
    return { chat: fitted, plan: planOf(fitted) };
  }

  /** The conversation that the request goes on with, and its own input. */
  async items(
    { previous_response_id: previous, input }: CountInputTokens,
    { tenant }: Asker,
  ): Promise<readonly InputItem[]> {
    const before = previous ? await this.stored.conversation(tenant.id, previous) : [];
    return [...before, ...itemsOf(input)];
  }

  #fitted(chat: ChatRequest, caller: Asker, signal: AbortSignal): Promise<ChatRequest> {
    const wanted = chat.max_completion_tokens ?? 1;
    return withoutOldest(chat, async (shorter) => {
      const { model, user, messages, tools, chat_template_kwargs } = shorter;
      const asked = { model, user, messages, tools, chat_template_kwargs } as TokenizeRequest;
      const found = await this.tokenization.tokenize(asked, caller, signal).catch(unlessTooLong);
      if (found === undefined) return false;
      const { count, max_model_len } = found;
      return count + Math.min(wanted, max_model_len - 1) <= max_model_len;
    });
  }
}

/** What is wrong with messages is wrong with the input that they were made of. */
function planOf(chat: ChatRequest): GenerationPlan {
  try {
    return { ...planChat(chat), promptField: 'input' };
  } catch (error) {
    if (!(error instanceof AppError) || !error.details.param?.startsWith('messages')) throw error;
    const message = error.message.replace(error.details.param, 'input');
    throw new AppError(error.code, { ...error.details, message, param: 'input' });
  }
}

/** A conversation may have more tokens than are ever counted. */
function unlessTooLong(error: unknown): undefined {
  if (!(error instanceof AppError) || error.code !== 'context_length_exceeded') throw error;
}
