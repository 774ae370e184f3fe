import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiExcludeController, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  type RerankRequest,
  RerankRequestSchema,
  RerankResponseSchema,
  type ScoreRequest,
  ScoreRequestSchema,
  ScoreResponseSchema,
} from '#contracts/openai/score.js';
import type { AnswerHead } from '#inference/answers/answer-format.js';
import { RerankFormat, ScoreFormat } from '#inference/answers/score-format.js';
import { planRerank, planScores } from '#inference/plan/score-plan.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';
import { AnswerService } from '../http/answer.service.js';

const WHOLE = { stream: false, style: 'openai' } as const;

@ApiTags('Inference')
@Controller('v1')
@RequireScope('inference')
export class ScoreController {
  constructor(private readonly answers: AnswerService) {}

  @TakesBody('prompt')
  @Post('score')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Tell how near texts are to each other',
    description: "The cosine of the texts' vectors, each as /v1/embeddings makes it (a bi-encoder's score).",
  })
  @ApiOkResponse({ standardSchema: ScoreResponseSchema })
  async score(
    @Body({ schema: ScoreRequestSchema }) body: ScoreRequest,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { plan, pairs } = planScores(body);
    const format = (head: AnswerHead) => new ScoreFormat(head, pairs);
    await this.answers.answer({ plan, format, caller, ...WHOLE }, request, reply);
  }

  @TakesBody('prompt')
  @Post('rerank')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Sort documents by how near they are to a query',
    description: 'By the scores of /v1/score. Also under /rerank and /v2/rerank.',
  })
  @ApiOkResponse({ standardSchema: RerankResponseSchema })
  async rerank(
    @Body({ schema: RerankRequestSchema }) body: RerankRequest,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { plan, pairs } = planRerank(body);
    const format = (head: AnswerHead) => new RerankFormat(head, pairs, body);
    await this.answers.answer({ plan, format, caller, ...WHOLE }, request, reply);
  }
}

/** The same under the paths by which vLLM's, Jina's and Cohere's clients know it. */
@ApiExcludeController()
@Controller(['', 'v2'])
@RequireScope('inference')
export class ScoreAliasController extends ScoreController {}
