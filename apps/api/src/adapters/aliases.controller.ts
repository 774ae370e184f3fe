import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { AliasesService } from '#adapters/aliases.service.js';
import {
  AliasListSchema,
  type AliasResource,
  type AliasWithHistory,
  AliasWithHistorySchema,
  type PutAlias,
  PutAliasSchema,
} from '#contracts/adapters-api.js';
import { DeletedSchema, type List, NameSchema } from '#contracts/resource.js';

const AliasPathSchema = z.object({ adapter: z.string(), alias: NameSchema });

@ApiTags('Adapters')
@Controller('v1/adapters/:adapter/aliases')
@RequireScope('adapters')
export class AliasesController {
  constructor(private readonly aliases: AliasesService) {}

  @Get()
  @ApiOperation({ summary: 'List aliases by name' })
  @ApiOkResponse({ standardSchema: AliasListSchema })
  list(@CurrentCaller() { tenant }: Caller, @Param('adapter') adapter: string): Promise<List<AliasResource>> {
    return this.aliases.list(tenant.id, adapter);
  }

  @Get(':alias')
  @ApiOperation({ summary: 'Get an alias with its history' })
  @ApiOkResponse({ standardSchema: AliasWithHistorySchema })
  get(
    @CurrentCaller() { tenant }: Caller,
    @Param('adapter') adapter: string,
    @Param('alias') alias: string,
  ): Promise<AliasWithHistory> {
    return this.aliases.get({ tenantId: tenant.id, adapter, alias });
  }

  @Put(':alias')
  @ApiOperation({ summary: 'Point an alias at one version or at a weighted set of versions' })
  @ApiOkResponse({ standardSchema: AliasWithHistorySchema })
  put(
    @CurrentCaller() { tenant, keyId }: Caller,
    @Param({ schema: AliasPathSchema }) { adapter, alias }: z.infer<typeof AliasPathSchema>,
    @Body({ schema: PutAliasSchema }) { routes }: PutAlias,
  ): Promise<AliasWithHistory> {
    return this.aliases.put({ tenantId: tenant.id, adapter, alias }, routes, keyId);
  }

  @Post(':alias/rollback')
  @HttpCode(200)
  @ApiOperation({ summary: 'Point an alias back at what it pointed at before' })
  @ApiOkResponse({ standardSchema: AliasWithHistorySchema })
  rollback(
    @CurrentCaller() { tenant, keyId }: Caller,
    @Param('adapter') adapter: string,
    @Param('alias') alias: string,
  ): Promise<AliasWithHistory> {
    return this.aliases.rollback({ tenantId: tenant.id, adapter, alias }, keyId);
  }

  @Delete(':alias')
  @ApiOperation({ summary: 'Delete an alias' })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant }: Caller,
    @Param('adapter') adapter: string,
    @Param('alias') alias: string,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.aliases.remove({ tenantId: tenant.id, adapter, alias });
    return { id: alias, object: 'adapter.alias', deleted: true };
  }
}
