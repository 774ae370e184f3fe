import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { type CompletionRequest, CompletionRequestSchema } from '#contracts/openai/completion-request.js';
import { CompletionSchema } from '#contracts/openai/completion-response.js';
import type { AnswerHead } from '#inference/answers/answer-format.js';
import { AnswerService } from '../http/answer.service.js';
import { CompletionFormat } from '#inference/answers/completion-format.js';
import { planCompletion } from '#inference/plan/completion-plan.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';

@ApiTags('Inference')
@Controller('v1/completions')
@RequireScope('inference')
export class CompletionsController {
  constructor(private readonly answers: AnswerService) {}

  @TakesBody('prompt')
  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Complete a text', description: 'With stream: true, server-sent events.' })
  @ApiOkResponse({ standardSchema: CompletionSchema })
  async create(
    @Body({ schema: CompletionRequestSchema }) body: CompletionRequest,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const question = {
      plan: planCompletion(body),
      format: (head: AnswerHead) => new CompletionFormat(head, body),
      stream: body.stream ?? false,
      style: 'openai' as const,
      caller,
    };
    await this.answers.answer(question, request, reply);
  }
}
