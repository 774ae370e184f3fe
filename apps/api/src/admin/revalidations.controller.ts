import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { TenantsService } from '#accounts/tenants.service.js';
import { type RevalidationScope, Revalidations } from '#adapters/revalidation/revalidations.service.js';
import {
  type AdminRevalidationQuery,
  AdminRevalidationQuerySchema,
  type Revalidation,
  RevalidationSchema,
  type StartAdminRevalidation,
  StartAdminRevalidationSchema,
} from '#contracts/revalidation-api.js';
import { EngineFleet } from '#fleet/engine-fleet.js';

@ApiTags('Operator')
@Controller('v1/admin/revalidations')
@RequireOperator()
export class AdminRevalidationsController {
  constructor(
    private readonly revalidations: Revalidations,
    private readonly tenants: TenantsService,
    private readonly fleet: EngineFleet,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'Get how many stored versions of all tenants answer on the base model that is served',
  })
  @ApiOkResponse({ standardSchema: RevalidationSchema })
  async status(
    @Query({ schema: AdminRevalidationQuerySchema }) query: AdminRevalidationQuery,
  ): Promise<Revalidation> {
    return this.revalidations.status(await this.#scope(query));
  }

  @Post()
  @HttpCode(202)
  @ApiOperation({
    summary: 'Validate stored versions of all tenants against the base model that is served now',
    description:
      'Or of one tenant, or of one adapter of it. The jobs of all tenants take turns, behind new uploads.',
  })
  @ApiAcceptedResponse({ standardSchema: RevalidationSchema })
  async start(
    @Body({ schema: StartAdminRevalidationSchema }) { rejected, ...query }: StartAdminRevalidation,
  ): Promise<Revalidation> {
    return this.revalidations.start(await this.#scope(query), { rejected });
  }

  async #scope({ tenant, adapter }: AdminRevalidationQuery): Promise<RevalidationScope> {
    return {
      base: await this.fleet.base(),
      tenant: tenant === undefined ? undefined : await this.tenants.find(tenant),
      adapter,
    };
  }
}
