import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { TenantsService } from '#accounts/tenants.service.js';
import {
  type AuditEntryResource,
  AuditListSchema,
  type AuditQuery,
  AuditQuerySchema,
} from '#contracts/audit-api.js';
import type { List } from '#contracts/resource.js';
import { AuditLog } from '#stores/audit/audit-log.service.js';

@ApiTags('Operator')
@Controller('v1/admin/audit')
@RequireOperator()
export class AuditController {
  constructor(
    private readonly log: AuditLog,
    private readonly tenants: TenantsService,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List who changed what, newest first',
    description: 'Entries cannot be changed or deleted. They outlive what they tell of.',
  })
  @ApiOkResponse({ standardSchema: AuditListSchema })
  async list(
    @Query({ schema: AuditQuerySchema }) { tenant, ...query }: AuditQuery,
  ): Promise<List<AuditEntryResource>> {
    if (tenant === undefined) return this.log.list(query);
    return this.log.list({ ...query, tenantId: (await this.tenants.find(tenant)).id });
  }
}
