import { Controller, Delete, Get, Param, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { SessionList } from '#accounts/sessions/session-list.service.js';
import { DeletedSchema, type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';
import {
  type EndedSessions,
  EndedSessionsSchema,
  type OpenConsoleSession,
  OpenConsoleSessionListSchema,
} from '#contracts/session-api.js';
import type { z } from 'zod';

@ApiTags('Operator')
@Controller('v1/admin/sessions')
@RequireOperator()
export class ConsoleSessionsController {
  constructor(private readonly sessions: SessionList) {}

  @Get()
  @ApiOperation({ summary: 'List who is signed in to the console, newest first' })
  @ApiOkResponse({ standardSchema: OpenConsoleSessionListSchema })
  list(@Query({ schema: PageQuerySchema }) query: PageQuery): Promise<List<OpenConsoleSession>> {
    return this.sessions.list(query);
  }

  @Delete()
  @ApiOperation({ summary: "End every console session at once, also the caller's" })
  @ApiOkResponse({ standardSchema: EndedSessionsSchema })
  async revokeAll(): Promise<EndedSessions> {
    return { object: 'console_session', deleted: true, count: await this.sessions.revokeAll() };
  }

  @Delete(':session')
  @ApiOperation({ summary: 'End a console session at once' })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async revoke(@Param('session') id: string): Promise<z.infer<typeof DeletedSchema>> {
    await this.sessions.revoke(id);
    return { id, object: 'console_session', deleted: true };
  }
}
