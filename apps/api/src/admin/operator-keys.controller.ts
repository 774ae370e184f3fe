import { Body, Controller, Delete, Get, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { OperatorKeysService } from '#accounts/operator-keys.service.js';
import {
  type CreatedOperatorKey,
  CreatedOperatorKeySchema,
  type CreateOperatorKey,
  CreateOperatorKeySchema,
  OperatorKeyListSchema,
  type OperatorKeyResource,
  OperatorKeySchema,
} from '#contracts/operator-keys-api.js';
import { type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';

@ApiTags('Operator')
@Controller('v1/admin/keys')
@RequireOperator()
export class OperatorKeysController {
  constructor(private readonly keys: OperatorKeysService) {}

  @Post()
  @ApiOperation({ summary: 'Create an operator key', description: 'The answer shows the key this once.' })
  @ApiCreatedResponse({ standardSchema: CreatedOperatorKeySchema })
  create(@Body({ schema: CreateOperatorKeySchema }) body: CreateOperatorKey): Promise<CreatedOperatorKey> {
    return this.keys.create(body);
  }

  @Get()
  @ApiOperation({
    summary: 'List operator keys, newest first',
    description: 'The one in ADMIN_API_KEY is not among them: it is changed by the setting alone.',
  })
  @ApiOkResponse({ standardSchema: OperatorKeyListSchema })
  list(@Query({ schema: PageQuerySchema }) query: PageQuery): Promise<List<OperatorKeyResource>> {
    return this.keys.list(query);
  }

  @Delete(':key')
  @ApiOperation({ summary: 'Revoke an operator key at once' })
  @ApiOkResponse({ standardSchema: OperatorKeySchema })
  revoke(@Param('key') key: string): Promise<OperatorKeyResource> {
    return this.keys.revoke(key);
  }
}
