import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import {
  type HookOverview,
  HookOverviewListSchema,
  type HooksQuery,
  HooksQuerySchema,
  type TenantUse,
  TenantUseListSchema,
  type WebhookOverview,
  WebhookOverviewListSchema,
  type WebhooksQuery,
  WebhooksQuerySchema,
} from '#contracts/operator-lists-api.js';
import { type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';
import { PipelinesOverview } from '#pipelines/pipelines-overview.service.js';
import { TenantUseService } from './tenant-use.service.js';

@ApiTags('Operator')
@Controller('v1/admin')
@RequireOperator()
export class OperatorListsController {
  constructor(
    private readonly use: TenantUseService,
    private readonly pipelines: PipelinesOverview,
  ) {}

  @Get('limits')
  @ApiOperation({ summary: 'List what each tenant may use and what it uses now' })
  @ApiOkResponse({ standardSchema: TenantUseListSchema })
  limits(@Query({ schema: PageQuerySchema }) query: PageQuery): Promise<List<TenantUse>> {
    return this.use.list(query);
  }

  @Get('webhooks')
  @ApiOperation({ summary: 'List the webhook endpoints of all tenants and how their last deliveries went' })
  @ApiOkResponse({ standardSchema: WebhookOverviewListSchema })
  webhooks(@Query({ schema: WebhooksQuerySchema }) query: WebhooksQuery): Promise<List<WebhookOverview>> {
    return this.pipelines.webhooks(query);
  }

  @Get('hooks')
  @ApiOperation({ summary: 'List the fine-tune hooks of all tenants and how their last deliveries went' })
  @ApiOkResponse({ standardSchema: HookOverviewListSchema })
  hooks(@Query({ schema: HooksQuerySchema }) query: HooksQuery): Promise<List<HookOverview>> {
    return this.pipelines.hooks(query);
  }
}
