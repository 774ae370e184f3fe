import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { type LimitsResource, LimitsSchema } from '#contracts/limits-api.js';
import { LimitsService } from '../limits/limits.service.js';

@ApiTags('Operator')
@Controller('v1/admin/tenants/:tenant/limits')
@RequireOperator()
export class TenantLimitsController {
  constructor(private readonly limits: LimitsService) {}

  @Get()
  @ApiOperation({ summary: "Get a tenant's quotas and what it stores" })
  @ApiOkResponse({ standardSchema: LimitsSchema })
  get(@Param('tenant') tenant: string): Promise<LimitsResource> {
    return this.limits.ofTenant(tenant);
  }
}
