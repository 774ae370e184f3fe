import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { HistoryService } from '#accounts/history/history.service.js';
import {
  type AdminHistoryQuery,
  AdminHistoryQuerySchema,
  type EngineHistoryList,
  EngineHistoryListSchema,
  type EngineHistoryQuery,
  EngineHistoryQuerySchema,
  type HistoryList,
  HistoryListSchema,
} from '#contracts/history-api.js';
import { EngineHistory } from '#fleet/history/engine-history.service.js';

@ApiTags('Operator')
@Controller('v1/admin/history')
@RequireOperator()
export class AdminHistoryController {
  constructor(
    private readonly history: HistoryService,
    private readonly engines: EngineHistory,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Get figures by time, of all tenants or of one' })
  @ApiOkResponse({ standardSchema: HistoryListSchema })
  get(@Query({ schema: AdminHistoryQuerySchema }) query: AdminHistoryQuery): Promise<HistoryList> {
    return this.history.ofAll(query);
  }

  @Get('engines')
  @ApiOperation({ summary: 'Get how busy the engines were, by time' })
  @ApiOkResponse({ standardSchema: EngineHistoryListSchema })
  ofEngines(
    @Query({ schema: EngineHistoryQuerySchema }) query: EngineHistoryQuery,
  ): Promise<EngineHistoryList> {
    return this.engines.list(query);
  }
}
