import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import {
  type Detokenized,
  DetokenizeRequestSchema,
  type Tokenized,
  TokenizeRequestSchema,
} from '#contracts/engine-protocol.js';
import { TakesBody } from '#runtime/edge/body-kinds.js';
import { EngineHost } from './engine-host.js';
import { parseBody } from './parse-body.js';

@Controller()
export class TokensController {
  constructor(private readonly host: EngineHost) {}

  @TakesBody('prompt')
  @Post('tokenize')
  @HttpCode(200)
  tokenize(@Body() body: unknown): Promise<Tokenized> {
    return this.host.engine().tokenize(parseBody(TokenizeRequestSchema, body));
  }

  @TakesBody('prompt')
  @Post('detokenize')
  @HttpCode(200)
  detokenize(@Body() body: unknown): Promise<Detokenized> {
    return this.host.engine().detokenize(parseBody(DetokenizeRequestSchema, body));
  }
}
