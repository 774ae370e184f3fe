import { Body, Controller, Get, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { TenantsService } from '#accounts/tenants.service.js';
import {
  type CreateTenant,
  CreateTenantSchema,
  type PatchTenant,
  PatchTenantSchema,
  TenantListSchema,
  type TenantResource,
  TenantSchema,
} from '#contracts/admin-api.js';
import { type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';

@ApiTags('Operator')
@Controller('v1/admin/tenants')
@RequireOperator()
export class TenantsController {
  constructor(private readonly tenants: TenantsService) {}

  @Post()
  @ApiOperation({ summary: 'Create a tenant' })
  @ApiCreatedResponse({ standardSchema: TenantSchema })
  create(@Body({ schema: CreateTenantSchema }) body: CreateTenant): Promise<TenantResource> {
    return this.tenants.create(body);
  }

  @Get()
  @ApiOperation({ summary: 'List tenants, newest first' })
  @ApiOkResponse({ standardSchema: TenantListSchema })
  list(@Query({ schema: PageQuerySchema }) query: PageQuery): Promise<List<TenantResource>> {
    return this.tenants.list(query);
  }

  @Get(':tenant')
  @ApiOperation({ summary: 'Get a tenant by name or id' })
  @ApiOkResponse({ standardSchema: TenantSchema })
  get(@Param('tenant') tenant: string): Promise<TenantResource> {
    return this.tenants.get(tenant);
  }

  @Patch(':tenant')
  @ApiOperation({ summary: "Change a tenant's state, quotas or weight" })
  @ApiOkResponse({ standardSchema: TenantSchema })
  patch(
    @Param('tenant') tenant: string,
    @Body({ schema: PatchTenantSchema }) body: PatchTenant,
  ): Promise<TenantResource> {
    return this.tenants.patch(tenant, body);
  }
}
