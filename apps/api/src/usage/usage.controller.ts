import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { UsageService } from '#accounts/usage.service.js';
import { type UsageList, UsageListSchema, type UsageQuery, UsageQuerySchema } from '#contracts/usage-api.js';

@ApiTags('Usage')
@Controller('v1/usage')
@RequireScope('usage', 'adapters')
export class UsageController {
  constructor(private readonly usage: UsageService) {}

  @Get()
  @ApiOperation({ summary: 'Sum up metered requests and tokens' })
  @ApiOkResponse({ standardSchema: UsageListSchema })
  get(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: UsageQuerySchema }) query: UsageQuery,
  ): Promise<UsageList> {
    return this.usage.query(tenant.id, query);
  }
}
