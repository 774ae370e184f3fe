import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  type EmbeddingsRequest,
  EmbeddingsRequestSchema,
  EmbeddingsResponseSchema,
} from '#contracts/openai/embeddings.js';
import type { AnswerHead } from '#inference/answers/answer-format.js';
import { EmbeddingFormat } from '#inference/answers/embedding-format.js';
import { planEmbeddings } from '#inference/plan/embedding-plan.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';
import { AnswerService } from '../http/answer.service.js';

@ApiTags('Inference')
@Controller('v1/embeddings')
@RequireScope('inference')
export class EmbeddingsController {
  constructor(private readonly answers: AnswerService) {}

  @TakesBody('prompt')
  @Post()
  @HttpCode(200)
  @ApiOperation({
    summary: 'Make texts into vectors',
    description:
      "The model's hidden states, pooled as the checkpoint's sentence-transformers configuration says, else the last token's with length 1.",
  })
  @ApiOkResponse({ standardSchema: EmbeddingsResponseSchema })
  async create(
    @Body({ schema: EmbeddingsRequestSchema }) body: EmbeddingsRequest,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const question = {
      plan: planEmbeddings(body),
      format: (head: AnswerHead) => new EmbeddingFormat(head, body),
      stream: false,
      style: 'openai' as const,
      caller,
    };
    await this.answers.answer(question, request, reply);
  }
}
