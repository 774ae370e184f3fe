import { Body, Controller, Delete, Get, Param, Put, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  EvaluationSetListSchema,
  EvaluationSetQuerySchema,
  type EvaluationSetResource,
  EvaluationSetSchema,
  type EvaluationSetSummary,
  type PutEvaluationSet,
  PutEvaluationSetSchema,
} from '#contracts/evaluation-sets-api.js';
import {
  DeletedSchema,
  type List,
  NameSchema,
  type PageQuery,
  PageQuerySchema,
} from '#contracts/resource.js';
import { EvaluationSets } from '#pipelines/evaluations/evaluation-sets.service.js';
import { z } from 'zod';

const SetPathSchema = z.object({ set: NameSchema });

@ApiTags('Fine-tune pipelines')
@Controller('v1/evaluation-sets')
@RequireScope('adapters')
export class EvaluationSetsController {
  constructor(private readonly sets: EvaluationSets) {}

  @Get()
  @ApiOperation({ summary: 'List evaluation sets, newest first' })
  @ApiOkResponse({ standardSchema: EvaluationSetListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: PageQuerySchema }) query: PageQuery,
  ): Promise<List<EvaluationSetSummary>> {
    return this.sets.list(tenant.id, query);
  }

  @Get(':set')
  @ApiOperation({ summary: 'Get an evaluation set with its prompts, also an earlier revision' })
  @ApiOkResponse({ standardSchema: EvaluationSetSchema })
  get(
    @CurrentCaller() { tenant }: Caller,
    @Param('set') set: string,
    @Query({ schema: EvaluationSetQuerySchema }) { revision }: z.infer<typeof EvaluationSetQuerySchema>,
  ): Promise<EvaluationSetResource> {
    return this.sets.get(tenant.id, set, revision);
  }

  @Put(':set')
  @ApiOperation({
    summary: 'Make an evaluation set, or give it other prompts',
    description: 'Other prompts are a new revision with a digest of its own; earlier revisions stay.',
  })
  @ApiOkResponse({ standardSchema: EvaluationSetSchema })
  put(
    @CurrentCaller() { tenant }: Caller,
    @Param({ schema: SetPathSchema }) { set }: z.infer<typeof SetPathSchema>,
    @Body({ schema: PutEvaluationSetSchema }) body: PutEvaluationSet,
  ): Promise<EvaluationSetResource> {
    return this.sets.put(tenant.id, set, body);
  }

  @Delete(':set')
  @ApiOperation({
    summary: 'Delete an evaluation set',
    description: 'Refused with 409 while a hook promotes by it.',
  })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant }: Caller,
    @Param('set') set: string,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.sets.remove(tenant.id, set);
    return { id: set, object: 'evaluation_set', deleted: true };
  }
}
