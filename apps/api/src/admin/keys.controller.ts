import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { KeysService } from '#accounts/keys.service.js';
import {
  ApiKeyListSchema,
  type ApiKeyResource,
  ApiKeySchema,
  type CreatedKey,
  CreatedKeySchema,
  type CreateKey,
  CreateKeySchema,
  type PatchKey,
  PatchKeySchema,
  type RotateKey,
  RotateKeySchema,
} from '#contracts/admin-api.js';
import { type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';

@ApiTags('Operator')
@Controller('v1/admin/tenants/:tenant/keys')
@RequireOperator()
export class KeysController {
  constructor(private readonly keys: KeysService) {}

  @Post()
  @ApiOperation({ summary: 'Create an API key', description: 'The answer shows the key this once.' })
  @ApiCreatedResponse({ standardSchema: CreatedKeySchema })
  create(
    @Param('tenant') tenant: string,
    @Body({ schema: CreateKeySchema }) body: CreateKey,
  ): Promise<CreatedKey> {
    return this.keys.create(tenant, body);
  }

  @Get()
  @ApiOperation({ summary: "List a tenant's keys, newest first" })
  @ApiOkResponse({ standardSchema: ApiKeyListSchema })
  list(
    @Param('tenant') tenant: string,
    @Query({ schema: PageQuerySchema }) query: PageQuery,
  ): Promise<List<ApiKeyResource>> {
    return this.keys.list(tenant, query);
  }

  @Patch(':key')
  @ApiOperation({ summary: "Change a key's name, scopes, limits or expiry" })
  @ApiOkResponse({ standardSchema: ApiKeySchema })
  patch(
    @Param('tenant') tenant: string,
    @Param('key') key: string,
    @Body({ schema: PatchKeySchema }) body: PatchKey,
  ): Promise<ApiKeyResource> {
    return this.keys.patch(tenant, key, body);
  }

  @Post(':key/rotate')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Give a key a new secret',
    description: 'The answer shows it this once. The key keeps its id, scopes, limits and usage.',
  })
  @ApiOkResponse({ standardSchema: CreatedKeySchema })
  rotate(
    @Param('tenant') tenant: string,
    @Param('key') key: string,
    @Body({ schema: RotateKeySchema }) body: RotateKey,
  ): Promise<CreatedKey> {
    return this.keys.rotate(tenant, key, body);
  }

  @Delete(':key')
  @ApiOperation({ summary: 'Revoke a key at once' })
  @ApiOkResponse({ standardSchema: ApiKeySchema })
  revoke(@Param('tenant') tenant: string, @Param('key') key: string): Promise<ApiKeyResource> {
    return this.keys.revoke(tenant, key);
  }
}
