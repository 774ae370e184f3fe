import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  type CompletionBody,
  type CompletionRequest,
  CompletionRequestSchema,
  promptsOf,
} from '#contracts/openai/completion-request.js';
import { ofOneModel } from '#contracts/openai/many-models.js';
import { CompletionSchema } from '#contracts/openai/completion-response.js';
import type { AnswerHead } from '#inference/answers/answer-format.js';
import { AnswerService, type Question } from '../http/answer.service.js';
import { ManyAnswers, type ManyAnswersShape } from '../http/many-answers.service.js';
import { CompletionFormat } from '#inference/answers/completion-format.js';
import { planCompletion } from '#inference/plan/completion-plan.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';

@ApiTags('Inference')
@Controller('v1/completions')
@RequireScope('inference')
export class CompletionsController {
  constructor(
    private readonly answers: AnswerService,
    private readonly many: ManyAnswers,
  ) {}

  @TakesBody('prompt')
  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Complete a text', description: 'With stream: true, server-sent events.' })
  @ApiOkResponse({ standardSchema: CompletionSchema })
  async create(
    @Body({ schema: CompletionRequestSchema }) body: CompletionBody,
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

function questionOf(completion: CompletionRequest, caller: Caller): Question {
  return {
    plan: planCompletion(completion),
    format: (head: AnswerHead) => new CompletionFormat(head, completion),
    stream: completion.stream ?? false,
    style: 'openai',
    caller,
  };
}

function shapeOf({ prompt, n, stream_options }: CompletionBody): ManyAnswersShape {
  const failed: ManyAnswersShape['failedChoice'] = (index, error) => ({
    index,
    text: '',
    logprobs: null,
    finish_reason: 'error',
    stop_reason: null,
    error,
  });
  return {
    prefix: 'cmpl-',
    object: { whole: 'text_completion', chunk: 'text_completion' },
    choices: promptsOf(prompt).length * (n ?? 1),
    failedChoice: failed,
    failedChunk: failed,
    tellsUsage: stream_options?.include_usage ?? false,
  };
}
