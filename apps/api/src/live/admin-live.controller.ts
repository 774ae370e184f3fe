import { Controller, Get, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RequireOperator } from '#accounts/caller.js';
import { LiveFigures } from '#accounts/history/live-figures.service.js';
import { type AdminLive, AdminLiveSchema } from '#contracts/live-api.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { samplesOf } from '#fleet/history/engine-sample.js';
import { LiveStreams } from './live-streams.service.js';

@ApiTags('Operator')
@Controller('v1/admin/live')
@RequireOperator()
export class AdminLiveController {
  constructor(
    private readonly figures: LiveFigures,
    private readonly fleet: EngineFleet,
    private readonly streams: LiveStreams,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'Get live figures of all tenants, and the engines as they are',
    description: 'With `Accept: text/event-stream`, every second as server-sent events, until the key ends.',
  })
  @ApiOkResponse({ standardSchema: AdminLiveSchema })
  async get(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    await this.streams.answer(request, reply, () => this.#read());
  }

  async #read(): Promise<AdminLive> {
    const figures = await this.figures.read(undefined);
    const engines = samplesOf(this.fleet.statuses()).map(
      ({ engine, state, tokens_per_second, ceiling_share, ceiling_tokens_per_second, ...sample }) => ({
        name: engine,
        state,
        running_requests: sample.running_requests,
        waiting_requests: sample.waiting_requests,
        queued_tokens: sample.queued_tokens,
        kv_share: sample.kv_share,
        adapters: sample.adapters,
        tokens_per_second,
        ceiling_share,
        ceiling_tokens_per_second,
      }),
    );
    return {
      ...figures,
      engines,
      ceiling_share: ceilingShare(engines),
      capacity_share: capacityShare(figures, engines),
    };
  }
}

/** Each engine counts by what it could compute without adapters. */
function ceilingShare(engines: AdminLive['engines']): number | null {
  let [left, whole] = [0, 0];
  for (const { ceiling_share: share, ceiling_tokens_per_second: rate } of engines) {
    if (share === null || rate === null) continue;
    left += share * rate;
    whole += rate;
  }
  return whole === 0 ? null : left / whole;
}

/** Cached prompt tokens are not computed, so of the prompt only what the last minute's share of others says. */
function capacityShare(
  { per_second, last_minute }: Pick<AdminLive, 'per_second' | 'last_minute'>,
  engines: AdminLive['engines'],
): number | null {
  const most = engines.reduce((sum, engine) => sum + (engine.tokens_per_second ?? 0), 0);
  if (most === 0) return null;
  const { prompt_tokens, cached_tokens } = last_minute;
  const computed = prompt_tokens === 0 ? 1 : 1 - cached_tokens / prompt_tokens;
  return (per_second.prompt_tokens * computed + per_second.completion_tokens) / most;
}
