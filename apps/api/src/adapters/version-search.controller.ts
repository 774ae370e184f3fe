import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { VersionsService } from '#adapters/registry/versions.service.js';
import { VersionListSchema, type VersionResource } from '#contracts/adapters-api.js';
import { type VersionSearch, VersionSearchSchema } from '#contracts/lineage-api.js';
import type { List } from '#contracts/resource.js';
import { LastServed } from './last-served.service.js';

@ApiTags('Adapters')
@Controller('v1/versions')
@RequireScope('adapters')
export class VersionSearchController {
  constructor(
    private readonly versions: VersionsService,
    private readonly served: LastServed,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Find versions of all adapters by digest or training job, newest first' })
  @ApiOkResponse({ standardSchema: VersionListSchema })
  async list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: VersionSearchSchema }) query: VersionSearch,
  ): Promise<List<VersionResource>> {
    const page = await this.versions.search(tenant.id, query);
    return { ...page, data: await this.served.of(tenant.id, page.data) };
  }
}
