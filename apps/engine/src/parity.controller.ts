import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { type Parity, ParityRequestSchema } from '#contracts/parity.js';
import { AppError } from '#runtime/app-error.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { EngineHost } from './engine-host.js';

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
    const parsed = ParityRequestSchema.safeParse(body);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const param = issue?.path.join('.') ?? '';
      throw new AppError('invalid_request', { message: `${param}: ${issue?.message ?? 'not valid'}`, param });
    }
    const { controller, done } = this.streams.open();
    reply.raw.once('close', () => controller.abort(new AppError('client_closed_request')));
    try {
      return await this.host.loaded().parity.run(parsed.data, controller.signal);
    } finally {
      done();
    }
  }
}
