import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { type Parity, ParityRequestSchema } from '#contracts/parity.js';
import { AppError } from '#runtime/app-error.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { EngineHost } from './engine-host.js';
import { parseBody } from './parse-body.js';

@Controller('parity')
export class ParityController {
  constructor(
    private readonly host: EngineHost,
    private readonly streams: OpenStreams,
  ) {}

  /** A caller that goes away gives the check up. */
  @Post()
  @HttpCode(200)
  async compare(@Body() body: unknown, @Res({ passthrough: true }) reply: FastifyReply): Promise<Parity> {
    const asked = parseBody(ParityRequestSchema, body);
    const { controller, done } = this.streams.open();
    reply.raw.once('close', () => controller.abort(new AppError('client_closed_request')));
    try {
      return await this.host.loaded().parity.run(asked, controller.signal);
    } finally {
      done();
    }
  }
}
