import { Body, Controller, Delete, Get, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { VersionDigests } from '#adapters/registry/version-digests.service.js';
import { AdaptersService } from '#adapters/registry/adapters.service.js';
import {
  AdapterListSchema,
  type AdapterQuery,
  AdapterQuerySchema,
  type AdapterResource,
  AdapterSchema,
  type CreateAdapter,
  CreateAdapterSchema,
  DeleteQuerySchema,
  isSet,
  type PatchAdapter,
  PatchAdapterSchema,
  type Residency,
  ResidencyListSchema,
} from '#contracts/adapters-api.js';
import { DeletedSchema, type List } from '#contracts/resource.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { digestsOn, residencyOf } from './residency.js';
import { BaseModelRules } from './base-model-rules.service.js';

@ApiTags('Adapters')
@Controller('v1/adapters')
@RequireScope('adapters')
export class AdaptersController {
  constructor(
    private readonly adapters: AdaptersService,
    private readonly digests: VersionDigests,
    private readonly rules: BaseModelRules,
    private readonly fleet: EngineFleet,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Create an adapter' })
  @ApiCreatedResponse({ standardSchema: AdapterSchema })
  async create(
    @CurrentCaller() { tenant }: Caller,
    @Body({ schema: CreateAdapterSchema }) body: CreateAdapter,
  ): Promise<AdapterResource> {
    await this.rules.check(body);
    return this.adapters.create(tenant.id, body);
  }

  @Get()
  @ApiOperation({ summary: 'List adapters, newest first' })
  @ApiOkResponse({ standardSchema: AdapterListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: AdapterQuerySchema }) query: AdapterQuery,
  ): Promise<List<AdapterResource>> {
    return this.adapters.list(tenant.id, query);
  }

  @Get(':adapter')
  @ApiOperation({ summary: 'Get an adapter' })
  @ApiOkResponse({ standardSchema: AdapterSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('adapter') adapter: string): Promise<AdapterResource> {
    return this.adapters.get(tenant.id, adapter);
  }

  @Get(':adapter/residency')
  @ApiOperation({
    summary: 'List where the weights of its versions lie now, and how many requests each answers there',
    description:
      'As the engines said within the last second; a version that is not listed lies in storage alone.',
  })
  @ApiOkResponse({ standardSchema: ResidencyListSchema })
  async residency(
    @CurrentCaller() { tenant }: Caller,
    @Param('adapter') adapter: string,
  ): Promise<List<Residency>> {
    const views = this.fleet.statuses();
    const known = await this.digests.find(tenant.id, adapter, digestsOn(views));
    return { object: 'list', data: residencyOf(views, known), has_more: false, last_id: null };
  }

  @Patch(':adapter')
  @ApiOperation({ summary: "Change an adapter's description or labels" })
  @ApiOkResponse({ standardSchema: AdapterSchema })
  patch(
    @CurrentCaller() { tenant }: Caller,
    @Param('adapter') adapter: string,
    @Body({ schema: PatchAdapterSchema }) body: PatchAdapter,
  ): Promise<AdapterResource> {
    return this.adapters.patch(tenant.id, adapter, body);
  }

  @Delete(':adapter')
  @ApiOperation({
    summary: 'Delete an adapter with all its versions',
    description: 'Refused with 409 while an alias other than `latest` serves it, unless `force=true`.',
  })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant }: Caller,
    @Param('adapter') adapter: string,
    @Query({ schema: DeleteQuerySchema }) { force }: z.infer<typeof DeleteQuerySchema>,
  ): Promise<z.infer<typeof DeletedSchema>> {
    const { id, digests } = await this.adapters.remove(tenant.id, adapter, { force: isSet(force) });
    await Promise.all(digests.map((digest) => this.fleet.dropAdapter(digest)));
    return { id, object: 'adapter', deleted: true };
  }
}
