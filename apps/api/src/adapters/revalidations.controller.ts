import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { Revalidations } from '#adapters/revalidation/revalidations.service.js';
import {
  type Revalidation,
  type RevalidationQuery,
  RevalidationQuerySchema,
  RevalidationSchema,
  type StartRevalidation,
  StartRevalidationSchema,
} from '#contracts/revalidation-api.js';
import { EngineFleet } from '#fleet/engine-fleet.js';

@ApiTags('Adapters')
@Controller('v1/revalidations')
@RequireScope('adapters')
export class RevalidationsController {
  constructor(
    private readonly revalidations: Revalidations,
    private readonly fleet: EngineFleet,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Get how many stored versions answer on the base model that is served' })
  @ApiOkResponse({ standardSchema: RevalidationSchema })
  async status(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: RevalidationQuerySchema }) { adapter }: RevalidationQuery,
  ): Promise<Revalidation> {
    return this.revalidations.status({ base: await this.fleet.base(), tenant, adapter });
  }

  @Post()
  @HttpCode(202)
  @ApiOperation({
    summary: 'Validate stored versions against the base model that is served now',
    description:
      'For versions that were made while another base was served: a job each, after which the version answers on this ' +
      'base too, or its entry in `bases` says why it cannot. What it is on its first base stays.',
  })
  @ApiAcceptedResponse({ standardSchema: RevalidationSchema })
  async start(
    @CurrentCaller() { tenant }: Caller,
    @Body({ schema: StartRevalidationSchema }) { adapter, rejected }: StartRevalidation,
  ): Promise<Revalidation> {
    return this.revalidations.start({ base: await this.fleet.base(), tenant, adapter }, { rejected });
  }
}
