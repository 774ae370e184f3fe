import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { BatchesService } from '#batches/batches.service.js';
import {
  BatchListSchema,
  type BatchList,
  type BatchQuery,
  BatchQuerySchema,
  type BatchResource,
  BatchSchema,
  type CreateBatch,
  CreateBatchSchema,
} from '#contracts/openai/batches.js';

@ApiTags('Batches')
@Controller('v1/batches')
@RequireScope('inference')
export class BatchesController {
  constructor(private readonly batches: BatchesService) {}

  @Post()
  @HttpCode(200)
  @ApiOperation({
    summary: 'Ask all requests of a file in the background',
    description:
      'Behind every other request, within 24 hours. Each line of the file has one line in the output file or in the error file.',
  })
  @ApiOkResponse({ standardSchema: BatchSchema })
  create(
    @CurrentCaller() { tenant, keyId }: Caller,
    @Body({ schema: CreateBatchSchema }) body: CreateBatch,
  ): Promise<BatchResource> {
    return this.batches.create({ tenantId: tenant.id, keyId }, body);
  }

  @Get()
  @ApiOperation({ summary: 'List batches, newest first' })
  @ApiOkResponse({ standardSchema: BatchListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: BatchQuerySchema }) query: BatchQuery,
  ): Promise<BatchList> {
    return this.batches.list(tenant.id, query);
  }

  @Get(':batch_id')
  @ApiOperation({ summary: 'Get a batch' })
  @ApiOkResponse({ standardSchema: BatchSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('batch_id') batch: string): Promise<BatchResource> {
    return this.batches.get(tenant.id, batch);
  }

  @Post(':batch_id/cancel')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Cancel a batch',
    description: 'What was done by then is in its output file once it is `cancelled`.',
  })
  @ApiOkResponse({ standardSchema: BatchSchema })
  cancel(@CurrentCaller() { tenant }: Caller, @Param('batch_id') batch: string): Promise<BatchResource> {
    return this.batches.cancel(tenant.id, batch);
  }
}
