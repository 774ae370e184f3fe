import { Controller, Get, Query, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { UsageReports } from '#accounts/usage-reports.service.js';
import { type UsageList, UsageListSchema, type UsageQuery, UsageQuerySchema } from '#contracts/usage-api.js';
import { usageAnswer } from './usage-answer.js';

@ApiTags('Usage')
@Controller('v1/usage')
@RequireScope('usage', 'adapters')
export class UsageController {
  constructor(private readonly reports: UsageReports) {}

  @Get()
  @ApiOperation({
    summary: 'Sum up metered requests and tokens',
    description: 'As a table with `format=csv` or `Accept: text/csv`.',
  })
  @ApiOkResponse({ standardSchema: UsageListSchema })
  async get(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: UsageQuerySchema }) query: UsageQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<UsageList | string> {
    return usageAnswer(await this.reports.ofTenant(tenant.id, query), query, { request, reply });
  }
}
