import { Controller, Delete, Get, Param, Put, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { SharesService } from '#adapters/registry/shares.service.js';
import { DeletedSchema, type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';
import { GranteeSchema, ShareListSchema, type ShareResource, ShareSchema } from '#contracts/shares-api.js';

const SharePathSchema = z.object({ adapter: z.string(), tenant: GranteeSchema });
type SharePath = z.infer<typeof SharePathSchema>;

@ApiTags('Adapters')
@Controller('v1/adapters/:adapter/shares')
@RequireScope('adapters')
export class SharesController {
  constructor(private readonly shares: SharesService) {}

  @Get()
  @ApiOperation({ summary: 'List the tenants with which an adapter is shared, by name' })
  @ApiOkResponse({ standardSchema: ShareListSchema })
  list(
    @CurrentCaller() { tenant: owner }: Caller,
    @Param('adapter') adapter: string,
    @Query({ schema: PageQuerySchema }) query: PageQuery,
  ): Promise<List<ShareResource>> {
    return this.shares.list(owner, adapter, query);
  }

  @Get(':tenant')
  @ApiOperation({ summary: 'Get one share' })
  @ApiOkResponse({ standardSchema: ShareSchema })
  get(
    @CurrentCaller() { tenant: owner }: Caller,
    @Param({ schema: SharePathSchema }) { adapter, tenant }: SharePath,
  ): Promise<ShareResource> {
    return this.shares.get({ owner, adapter, tenant });
  }

  @Put(':tenant')
  @ApiOperation({
    summary: 'Share an adapter with a tenant, or with all',
    description:
      '`*` in place of a name shares it with every tenant. They call it as `owner/adapter`, with every version and ' +
      'alias of it; they cannot see or change it otherwise, and the usage is theirs.',
  })
  @ApiOkResponse({ standardSchema: ShareSchema })
  put(
    @CurrentCaller() { tenant: owner, keyId }: Caller,
    @Param({ schema: SharePathSchema }) { adapter, tenant }: SharePath,
  ): Promise<ShareResource> {
    return this.shares.put({ owner, adapter, tenant }, keyId);
  }

  @Delete(':tenant')
  @ApiOperation({ summary: 'Stop sharing an adapter with a tenant, or with all' })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant: owner }: Caller,
    @Param({ schema: SharePathSchema }) { adapter, tenant }: SharePath,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.shares.remove({ owner, adapter, tenant });
    return { id: tenant, object: 'adapter.share', deleted: true };
  }
}
