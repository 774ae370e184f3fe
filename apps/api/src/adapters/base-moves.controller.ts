import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { BaseMoves } from '#adapters/base-moves/base-moves.service.js';
import {
  BaseMoveListSchema,
  type BaseMoveResource,
  BaseMoveSchema,
  type MovedVersion,
  MovedVersionListSchema,
  type MovedVersionQuery,
  MovedVersionQuerySchema,
  type StartBaseMove,
  StartBaseMoveSchema,
} from '#contracts/base-moves-api.js';
import { type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { EvaluationSets } from '#pipelines/evaluations/evaluation-sets.service.js';

@ApiTags('Adapters')
@Controller('v1/base-moves')
@RequireScope('adapters')
export class BaseMovesController {
  constructor(
    private readonly moves: BaseMoves,
    private readonly sets: EvaluationSets,
    private readonly fleet: EngineFleet,
  ) {}

  @Post()
  @HttpCode(202)
  @ApiOperation({
    summary: 'Move all adapters to the base model that is served now, each checked and evaluated',
    description:
      'Every version that an alias leads to is validated against the base, asked the prompts of an evaluation set, and ' +
      'answers on the base from then on when it passed; otherwise it is left, with the reason in the report ' +
      '(`GET /v1/base-moves/{move}/versions`). The same order again while it runs is the same move.',
  })
  @ApiAcceptedResponse({ standardSchema: BaseMoveSchema })
  async start(
    @CurrentCaller() { tenant }: Caller,
    @Body({ schema: StartBaseMoveSchema }) order: StartBaseMove,
  ): Promise<BaseMoveResource> {
    if (order.evaluate) await this.sets.require(tenant.id, order.evaluate.set, 'evaluate.set');
    return this.moves.start({ tenant, base: await this.fleet.base() }, order);
  }

  @Get()
  @ApiOperation({ summary: 'List moves to other base models, newest first' })
  @ApiOkResponse({ standardSchema: BaseMoveListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: PageQuerySchema }) query: PageQuery,
  ): Promise<List<BaseMoveResource>> {
    return this.moves.list(tenant.id, query);
  }

  @Get(':move')
  @ApiOperation({ summary: 'Get how far a move is' })
  @ApiOkResponse({ standardSchema: BaseMoveSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('move') move: string): Promise<BaseMoveResource> {
    return this.moves.get(tenant.id, move);
  }

  @Get(':move/versions')
  @ApiOperation({
    summary:
      "Get a move's report: each version, what the check and the evaluation found, and what came of it",
  })
  @ApiOkResponse({ standardSchema: MovedVersionListSchema })
  versions(
    @CurrentCaller() { tenant }: Caller,
    @Param('move') move: string,
    @Query({ schema: MovedVersionQuerySchema }) query: MovedVersionQuery,
  ): Promise<List<MovedVersion>> {
    return this.moves.versions(tenant.id, move, query);
  }

  @Post(':move/cancel')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Cancel a move: what is not decided yet is left',
    description: 'What it has promoted answers on.',
  })
  @ApiOkResponse({ standardSchema: BaseMoveSchema })
  cancel(@CurrentCaller() { tenant }: Caller, @Param('move') move: string): Promise<BaseMoveResource> {
    return this.moves.cancel(tenant.id, move);
  }
}
