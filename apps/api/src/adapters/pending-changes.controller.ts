import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { ProtectedAliases } from '#adapters/aliases/protected-aliases.service.js';
import {
  type Decision,
  DecisionSchema,
  type PendingChange,
  PendingChangeListSchema,
  type PendingChangeQuery,
  PendingChangeQuerySchema,
  PendingChangeSchema,
} from '#contracts/pending-changes-api.js';
import type { List } from '#contracts/resource.js';

/** Changes of protected aliases that wait, or waited, for a second key. */
@ApiTags('Adapters')
@Controller('v1/pending-changes')
@RequireScope('adapters')
export class PendingChangesController {
  constructor(private readonly protections: ProtectedAliases) {}

  @Get()
  @ApiOperation({ summary: 'List changes of protected aliases, newest first' })
  @ApiOkResponse({ standardSchema: PendingChangeListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: PendingChangeQuerySchema }) query: PendingChangeQuery,
  ): Promise<List<PendingChange>> {
    return this.protections.list(tenant.id, query);
  }

  @Get(':change')
  @ApiOperation({ summary: 'Get a change of a protected alias' })
  @ApiOkResponse({ standardSchema: PendingChangeSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('change') id: string): Promise<PendingChange> {
    return this.protections.get(tenant.id, id);
  }

  @Post(':change/decision')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Approve or decline a change of a protected alias',
    description: 'Approving carries it out, and needs another key or person than the one who asked for it.',
  })
  @ApiOkResponse({ standardSchema: PendingChangeSchema })
  decide(
    @CurrentCaller() { tenant, keyId }: Caller,
    @Param('change') id: string,
    @Body({ schema: DecisionSchema }) body: Decision,
  ): Promise<PendingChange> {
    return this.protections.decide(tenant.id, id, body, { keyId });
  }
}
