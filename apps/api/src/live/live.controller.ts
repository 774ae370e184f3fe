import { Controller, Get, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { LiveFigures } from '#accounts/history/live-figures.service.js';
import { LiveFiguresSchema } from '#contracts/live-api.js';
import { LiveStreams } from './live-streams.service.js';

@ApiTags('Usage')
@Controller('v1/live')
@RequireScope('usage', 'adapters')
export class LiveController {
  constructor(
    private readonly figures: LiveFigures,
    private readonly streams: LiveStreams,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'Get live figures: rates of the last 10 seconds, percentiles of the last minute',
    description: 'With `Accept: text/event-stream`, every second as server-sent events, until the key ends.',
  })
  @ApiOkResponse({ standardSchema: LiveFiguresSchema })
  async get(
    @CurrentCaller() { tenant }: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.streams.answer(request, reply, () => this.figures.read(tenant.id));
  }
}
