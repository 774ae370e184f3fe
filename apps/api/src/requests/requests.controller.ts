import { Body, Controller, Delete, Get, Param, Put, Query, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { RequestLog } from '#accounts/request-log/request-log.service.js';
import { RequestLogSettings } from '#accounts/request-log/request-log-settings.service.js';
import {
  ClearedSchema,
  type LoggedRequest,
  LoggedRequestListSchema,
  LoggedRequestSchema,
  type LoggedRequestsQuery,
  LoggedRequestsQuerySchema,
  type PutRequestLog,
  PutRequestLogSchema,
  type RequestLogResource,
  RequestLogSchema,
} from '#contracts/request-log-api.js';
import type { List } from '#contracts/resource.js';
import { LiveStreams } from '../live/live-streams.service.js';

const TAIL = 50;

/** What was asked lately, where the tenant wants that kept. */
@ApiTags('Usage')
@Controller('v1')
@RequireScope('adapters')
export class RequestsController {
  constructor(
    private readonly settings: RequestLogSettings,
    private readonly requests: RequestLog,
    private readonly streams: LiveStreams,
  ) {}

  @Get('request-log')
  @ApiOperation({ summary: 'Get whether requests are kept, and for how long' })
  @ApiOkResponse({ standardSchema: RequestLogSchema })
  getSettings(@CurrentCaller() { tenant }: Caller): Promise<RequestLogResource> {
    return this.settings.get(tenant.id);
  }

  @Put('request-log')
  @ApiOperation({
    summary: 'Keep requests, or keep them no longer',
    description:
      'Off by default. Without `text`, prompts and answers are not kept, and those that were are erased.',
  })
  @ApiOkResponse({ standardSchema: RequestLogSchema })
  putSettings(
    @CurrentCaller() { tenant }: Caller,
    @Body({ schema: PutRequestLogSchema }) body: PutRequestLog,
  ): Promise<RequestLogResource> {
    return this.settings.put(tenant.id, body);
  }

  @Get('requests')
  @ApiOperation({ summary: 'List kept requests, newest first' })
  @ApiOkResponse({ standardSchema: LoggedRequestListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: LoggedRequestsQuerySchema }) query: LoggedRequestsQuery,
  ): Promise<List<LoggedRequest>> {
    return this.requests.list(tenant.id, query);
  }

  @Get('requests/live')
  @ApiOperation({
    summary: 'Get the newest requests',
    description: 'With `Accept: text/event-stream`, every second as server-sent events, until the key ends.',
  })
  @ApiOkResponse({ standardSchema: LoggedRequestListSchema })
  async live(
    @CurrentCaller() { tenant }: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.streams.answer(request, reply, () => this.requests.list(tenant.id, { limit: TAIL }));
  }

  @Get('requests/:request')
  @ApiOperation({ summary: 'Get a kept request' })
  @ApiOkResponse({ standardSchema: LoggedRequestSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('request') id: string): Promise<LoggedRequest> {
    return this.requests.get(tenant.id, id);
  }

  @Delete('requests')
  @ApiOperation({ summary: 'Delete all kept requests' })
  @ApiOkResponse({ standardSchema: ClearedSchema })
  async clear(@CurrentCaller() { tenant }: Caller): Promise<z.infer<typeof ClearedSchema>> {
    return { object: 'request_log', deleted: await this.requests.clear(tenant.id) };
  }
}
