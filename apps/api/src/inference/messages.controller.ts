import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  type CountTokensRequest,
  CountTokensRequestSchema,
  type MessagesRequest,
  MessagesRequestSchema,
} from '#contracts/anthropic/messages-request.js';
import {
  AnthropicMessageSchema,
  type TokenCount,
  TokenCountSchema,
} from '#contracts/anthropic/messages-response.js';
import type { TokenizeRequest } from '#contracts/openai/tokenize.js';
import type { AnswerHead } from '#inference/answers/answer-format.js';
import { TokenizationService } from '#inference/life/tokenization.service.js';
import { chatOf, promptOf } from '#inference/messages/messages-chat.js';
import { MessagesFormat } from '#inference/messages/messages-format.js';
import { planChat } from '#inference/plan/chat-plan.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';
import { AnswerService } from '../http/answer.service.js';
import { UncomputedCalls } from '../http/uncomputed-calls.service.js';

@ApiTags('Inference')
@Controller('v1/messages')
@RequireScope('inference')
export class MessagesController {
  constructor(
    private readonly answers: AnswerService,
    private readonly calls: UncomputedCalls,
    private readonly tokenization: TokenizationService,
  ) {}

  @TakesBody('prompt', { verbatim: ['tools'] })
  @Post()
  @HttpCode(200)
  @ApiOperation({
    summary: "Answer a conversation in Anthropic's form",
    description: 'With stream: true, its server-sent events. The key may also come as `x-api-key`.',
  })
  @ApiOkResponse({ standardSchema: AnthropicMessageSchema })
  async create(
    @Body({ schema: MessagesRequestSchema }) body: MessagesRequest,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const chat = chatOf(body);
    const question = {
      plan: planChat(chat),
      format: (head: AnswerHead) => new MessagesFormat(head, chat),
      stream: body.stream ?? false,
      style: 'anthropic' as const,
      caller,
    };
    await this.answers.answer(question, request, reply);
  }

  @TakesBody('prompt', { verbatim: ['tools'] })
  @Post('count_tokens')
  @HttpCode(200)
  @ApiOperation({ summary: 'Count the tokens of such a conversation' })
  @ApiOkResponse({ standardSchema: TokenCountSchema })
  count(
    @Body({ schema: CountTokensRequestSchema }) body: CountTokensRequest,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TokenCount> {
    return this.calls.run(caller, reply, async (signal) => {
      const { count } = await this.tokenization.tokenize(promptOf(body) as TokenizeRequest, caller, signal);
      return { input_tokens: count };
    });
  }
}
