import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  type ChatRequest,
  ChatRequestSchema,
  VERBATIM_IN_TEMPLATES,
} from '#contracts/openai/chat-request.js';
import { ChatCompletionSchema } from '#contracts/openai/chat-response.js';
import type { AnswerHead } from '#inference/answers/answer-format.js';
import { AnswerService } from '../http/answer.service.js';
import { ChatFormat } from '#inference/answers/chat-format.js';
import { planChat } from '#inference/plan/chat-plan.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';

@ApiTags('Inference')
@Controller('v1/chat/completions')
@RequireScope('inference')
export class ChatController {
  constructor(private readonly answers: AnswerService) {}

  @TakesBody('prompt', { verbatim: VERBATIM_IN_TEMPLATES })
  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Answer a conversation', description: 'With stream: true, server-sent events.' })
  @ApiOkResponse({ standardSchema: ChatCompletionSchema })
  async create(
    @Body({ schema: ChatRequestSchema }) body: ChatRequest,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const question = {
      plan: planChat(body),
      format: (head: AnswerHead) => new ChatFormat(head, body),
      stream: body.stream ?? false,
      style: 'openai' as const,
      caller,
    };
    await this.answers.answer(question, request, reply);
  }
}
