import { Controller, Get, Query, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RequireOperator } from '#accounts/caller.js';
import { UsageReports } from '#accounts/usage-reports.service.js';
import {
  type AdminUsageQuery,
  AdminUsageQuerySchema,
  type UsageList,
  UsageListSchema,
} from '#contracts/usage-api.js';
import { usageAnswer } from './usage-answer.js';

@ApiTags('Operator')
@Controller('v1/admin/usage')
@RequireOperator()
export class AdminUsageController {
  constructor(private readonly reports: UsageReports) {}

  @Get()
  @ApiOperation({
    summary: 'Sum up metered requests and tokens of all tenants',
    description: 'As a table with `format=csv` or `Accept: text/csv`.',
  })
  @ApiOkResponse({ standardSchema: UsageListSchema })
  async get(
    @Query({ schema: AdminUsageQuerySchema }) query: AdminUsageQuery,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<UsageList | string> {
    return usageAnswer(await this.reports.ofAll(query), query, { request, reply });
  }
}
