import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { type Overview, OverviewSchema } from '#contracts/overview-api.js';
import { OverviewService } from './overview.service.js';

@ApiTags('Operator')
@Controller('v1/admin/overview')
@RequireOperator()
export class OverviewController {
  constructor(private readonly overview: OverviewService) {}

  @Get()
  @ApiOperation({ summary: 'Get health, load, totals, queues, the last hour of usage and the last changes' })
  @ApiOkResponse({ standardSchema: OverviewSchema })
  get(): Promise<Overview> {
    return this.overview.read();
  }
}
