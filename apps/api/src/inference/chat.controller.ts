import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  type ChatBody,
  type ChatRequest,
  ChatRequestSchema,
  VERBATIM_IN_TEMPLATES,
} from '#contracts/openai/chat-request.js';
import { ofOneModel } from '#contracts/openai/many-models.js';
import { ChatCompletionSchema } from '#contracts/openai/chat-response.js';
import type { AnswerHead } from '#inference/answers/answer-format.js';
import { AnswerService, type Question } from '../http/answer.service.js';
import { ManyAnswers, type ManyAnswersShape } from '../http/many-answers.service.js';
import { ChatFormat } from '#inference/answers/chat-format.js';
import { planChat } from '#inference/plan/chat-plan.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';

@ApiTags('Inference')
@Controller('v1/chat/completions')
@RequireScope('inference')
export class ChatController {
  constructor(
    private readonly answers: AnswerService,
    private readonly many: ManyAnswers,
  ) {}

  @TakesBody('prompt', { verbatim: VERBATIM_IN_TEMPLATES })
  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Answer a conversation', description: 'With stream: true, server-sent events.' })
  @ApiOkResponse({ standardSchema: ChatCompletionSchema })
  async create(
    @Body({ schema: ChatRequestSchema }) body: ChatBody,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { model, models } = body;
    const ask = (of: string) => questionOf(ofOneModel(body, of), caller);
    const [first, ...others] = models ?? [];
    if (first === undefined) await this.answers.answer(ask(model ?? ''), request, reply);
    else
      await this.many.answer(
        { questions: [ask(first), ...others.map(ask)], shape: shapeOf(body) },
        request,
        reply,
      );
  }
}

function questionOf(chat: ChatRequest, caller: Caller): Question {
  return {
    plan: planChat(chat),
    format: (head: AnswerHead) => new ChatFormat(head, chat),
    stream: chat.stream ?? false,
    style: 'openai',
    caller,
  };
}

function shapeOf({ n, stream_options }: ChatBody): ManyAnswersShape {
  const failed = { logprobs: null, finish_reason: 'error' };
  return {
    prefix: 'chatcmpl-',
    object: { whole: 'chat.completion', chunk: 'chat.completion.chunk' },
    choices: n ?? 1,
    failedChoice: (index, error) => ({
      index,
      message: { role: 'assistant', content: null, refusal: null },
      ...failed,
      stop_reason: null,
      error,
    }),
    failedChunk: (index, error) => ({ index, delta: {}, ...failed, error }),
    tellsUsage: stream_options?.include_usage ?? false,
  };
}
