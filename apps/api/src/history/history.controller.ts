import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { HistoryService } from '#accounts/history/history.service.js';
import {
  type HistoryList,
  HistoryListSchema,
  type HistoryQuery,
  HistoryQuerySchema,
} from '#contracts/history-api.js';

@ApiTags('Usage')
@Controller('v1/history')
@RequireScope('usage', 'adapters')
export class HistoryController {
  constructor(private readonly history: HistoryService) {}

  @Get()
  @ApiOperation({
    summary: 'Get figures by time: requests, errors by code, tokens, latency percentiles, goodput',
  })
  @ApiOkResponse({ standardSchema: HistoryListSchema })
  get(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: HistoryQuerySchema }) query: HistoryQuery,
  ): Promise<HistoryList> {
    return this.history.ofTenant(tenant.id, query);
  }
}
