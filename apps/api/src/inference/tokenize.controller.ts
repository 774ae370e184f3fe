import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { VERBATIM_IN_TEMPLATES } from '#contracts/openai/chat-request.js';
import {
  type DetokenizeRequest,
  DetokenizeRequestSchema,
  type DetokenizeResponse,
  DetokenizeResponseSchema,
  type TokenizeRequest,
  TokenizeRequestSchema,
  type TokenizeResponse,
  TokenizeResponseSchema,
} from '#contracts/openai/tokenize.js';
import { TokenizationService } from '#inference/life/tokenization.service.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';
import { UncomputedCalls } from '../http/uncomputed-calls.service.js';

@ApiTags('Inference')
@Controller()
@RequireScope('inference')
export class TokenizeController {
  constructor(
    private readonly calls: UncomputedCalls,
    private readonly tokenization: TokenizationService,
  ) {}

  @TakesBody('prompt', { verbatim: VERBATIM_IN_TEMPLATES })
  @Post('tokenize')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Get the tokens of a text or a chat',
    description:
      'They may be more than the context has. Counts as a request against rate limits, and uses no tokens.',
  })
  @ApiOkResponse({ standardSchema: TokenizeResponseSchema })
  tokenize(
    @Body({ schema: TokenizeRequestSchema }) body: TokenizeRequest,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TokenizeResponse> {
    return this.calls.run(caller, reply, (signal) => this.tokenization.tokenize(body, caller, signal));
  }

  @TakesBody('prompt')
  @Post('detokenize')
  @HttpCode(200)
  @ApiOperation({ summary: 'Get the text of tokens', description: 'With special tokens.' })
  @ApiOkResponse({ standardSchema: DetokenizeResponseSchema })
  detokenize(
    @Body({ schema: DetokenizeRequestSchema }) body: DetokenizeRequest,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<DetokenizeResponse> {
    return this.calls.run(caller, reply, (signal) => this.tokenization.detokenize(body, caller, signal));
  }
}
