import { Controller, Delete, HttpCode, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { AppError } from '#runtime/app-error.js';
import { EngineHost } from './engine-host.js';

@Controller('adapters')
export class AdaptersController {
  constructor(private readonly host: EngineHost) {}

  @Post(':digest')
  @HttpCode(204)
  async load(
    @Param('digest') digest: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort(new AppError('client_closed_request')));
    await this.host.engine().loadAdapter(digest, gone.signal);
  }

  @Delete(':digest')
  @HttpCode(204)
  drop(@Param('digest') digest: string): void {
    this.host.loaded().engine.dropAdapter(digest);
  }
}
