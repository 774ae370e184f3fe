import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query, Req, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiHeader, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { AliasShadows } from '#adapters/aliases/alias-shadows.service.js';
import { type AliasOutcome, AliasesService } from '#adapters/aliases/aliases.service.js';
import { ProtectedAliases } from '#adapters/aliases/protected-aliases.service.js';
import {
  type AliasList,
  AliasListSchema,
  type AliasWithHistory,
  AliasWithHistorySchema,
  type PutAlias,
  PutAliasSchema,
} from '#contracts/adapters-api.js';
import { ShadowQuerySchema, type ShadowReport, ShadowReportSchema } from '#contracts/alias-trials.js';
import {
  type PendingChange,
  PendingChangeSchema,
  type ProtectionResource,
  ProtectionSchema,
  PutProtectionSchema,
  RollbackQuerySchema,
} from '#contracts/pending-changes-api.js';
import { DeletedSchema, NameSchema } from '#contracts/resource.js';
import { etagOf, preconditionOf } from './alias-precondition-header.js';

const AliasPathSchema = z.object({ adapter: z.string(), alias: NameSchema });
type AliasPath = z.infer<typeof AliasPathSchema>;

const IF_MATCH = {
  name: 'If-Match',
  required: false,
  description: 'The etag of the alias that is to be changed, or `*`; 412 when it is another by then',
};

const WAITS = {
  description: 'The alias is protected: the change waits until another key or person approves it',
  standardSchema: PendingChangeSchema,
};

@ApiTags('Adapters')
@Controller('v1/adapters/:adapter/aliases')
@RequireScope('adapters')
export class AliasesController {
  constructor(
    private readonly aliases: AliasesService,
    private readonly shadows: AliasShadows,
    private readonly protections: ProtectedAliases,
  ) {}

  @Get()
  @ApiOperation({ summary: 'List aliases by name' })
  @ApiOkResponse({ standardSchema: AliasListSchema })
  list(@CurrentCaller() { tenant }: Caller, @Param('adapter') adapter: string): Promise<AliasList> {
    return this.aliases.list(tenant.id, adapter);
  }

  @Get(':alias')
  @ApiOperation({ summary: 'Get an alias with its history', description: 'Its `etag` is its revision.' })
  @ApiOkResponse({ standardSchema: AliasWithHistorySchema })
  async get(
    @CurrentCaller() { tenant }: Caller,
    @Param('adapter') adapter: string,
    @Param('alias') alias: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AliasWithHistory> {
    return tagged(reply, await this.aliases.get({ tenantId: tenant.id, adapter, alias }));
  }

  @Put(':alias')
  @ApiOperation({
    summary: 'Point an alias at one version or at a weighted set of versions',
    description:
      'The whole alias is replaced: without `shadow` and `guard` there are none. `If-None-Match: *` only creates.',
  })
  @ApiHeader(IF_MATCH)
  @ApiOkResponse({ standardSchema: AliasWithHistorySchema })
  @ApiAcceptedResponse(WAITS)
  async put(
    @CurrentCaller() { tenant, keyId }: Caller,
    @Param({ schema: AliasPathSchema }) { adapter, alias }: AliasPath,
    @Body({ schema: PutAliasSchema }) body: PutAlias,
    @Req() { headers }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AliasWithHistory | PendingChange> {
    const writer = { keyId, expected: preconditionOf(headers) };
    return answer(reply, await this.aliases.set({ tenantId: tenant.id, adapter, alias }, body, writer));
  }

  @Post(':alias/rollback')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Point an alias back at what it pointed at before',
    description:
      'Again, one step further. A shadow and a guard end with it. A protected alias waits for a second key unless `emergency` says why not.',
  })
  @ApiHeader(IF_MATCH)
  @ApiOkResponse({ standardSchema: AliasWithHistorySchema })
  @ApiAcceptedResponse(WAITS)
  async rollback(
    @CurrentCaller() { tenant, keyId }: Caller,
    @Param({ schema: z.object({ adapter: z.string(), alias: z.string() }) }) { adapter, alias }: AliasPath,
    @Query({ schema: RollbackQuerySchema }) { emergency }: z.infer<typeof RollbackQuerySchema>,
    @Req() { headers }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AliasWithHistory | PendingChange> {
    const writer = { keyId, emergency, expected: preconditionOf(headers) };
    return answer(reply, await this.aliases.rollback({ tenantId: tenant.id, adapter, alias }, writer));
  }

  @Get(':alias/shadow')
  @ApiOperation({
    summary: 'Get how the candidate does that gets copies of the traffic',
    description: 'Counted since the newest change of the alias, or for an earlier `revision`.',
  })
  @ApiOkResponse({ standardSchema: ShadowReportSchema })
  getShadow(
    @CurrentCaller() { tenant }: Caller,
    @Param('adapter') adapter: string,
    @Param('alias') alias: string,
    @Query({ schema: ShadowQuerySchema }) { revision }: z.infer<typeof ShadowQuerySchema>,
  ): Promise<ShadowReport> {
    return this.shadows.report({ tenantId: tenant.id, adapter, alias }, revision);
  }

  @Put(':alias/protection')
  @ApiOperation({
    summary: 'Protect an alias, or end its protection',
    description:
      'Each change of a protected alias waits until another key or person approves it. So does the end of the protection, unless an operator asks for it.',
  })
  @ApiOkResponse({ standardSchema: ProtectionSchema })
  @ApiAcceptedResponse(WAITS)
  async protect(
    @CurrentCaller() { tenant, keyId, operator }: Caller,
    @Param({ schema: AliasPathSchema }) { adapter, alias }: AliasPath,
    @Body({ schema: PutProtectionSchema }) body: z.infer<typeof PutProtectionSchema>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ProtectionResource | PendingChange> {
    const address = { tenantId: tenant.id, adapter, alias };
    const result = await this.protections.protect(address, body.protected, { keyId, operator });
    return result.object === 'adapter.alias.protection' ? result : waiting(reply, result);
  }

  @Delete(':alias')
  @ApiOperation({ summary: 'Delete an alias' })
  @ApiHeader(IF_MATCH)
  @ApiOkResponse({ standardSchema: DeletedSchema })
  @ApiAcceptedResponse(WAITS)
  async remove(
    @CurrentCaller() { tenant, keyId }: Caller,
    @Param('adapter') adapter: string,
    @Param('alias') alias: string,
    @Req() { headers }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<z.infer<typeof DeletedSchema> | PendingChange> {
    const writer = { keyId, expected: preconditionOf(headers) };
    const outcome = await this.aliases.remove({ tenantId: tenant.id, adapter, alias }, writer);
    if (outcome.kind === 'pending') return waiting(reply, outcome.change);
    return { id: alias, object: 'adapter.alias', deleted: true };
  }
}

function tagged(reply: FastifyReply, alias: AliasWithHistory): AliasWithHistory {
  void reply.header('etag', etagOf(alias.revision));
  return alias;
}

function waiting(reply: FastifyReply, change: PendingChange): PendingChange {
  void reply.status(202);
  return change;
}

function answer(
  reply: FastifyReply,
  outcome: AliasOutcome<AliasWithHistory>,
): AliasWithHistory | PendingChange {
  return outcome.kind === 'pending' ? waiting(reply, outcome.change) : tagged(reply, outcome.alias);
}
