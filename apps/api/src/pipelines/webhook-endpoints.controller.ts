import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiCreatedResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { type RotateSecret, RotateSecretSchema } from '#contracts/hooks-api.js';
import { DeletedSchema, type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';
import {
  type CreatedWebhookEndpoint,
  CreatedWebhookEndpointSchema,
  type CreateWebhookEndpoint,
  CreateWebhookEndpointSchema,
  type PatchWebhookEndpoint,
  PatchWebhookEndpointSchema,
  type WebhookDeliveryDetail,
  WebhookDeliveryDetailSchema,
  WebhookDeliveryListSchema,
  type WebhookDeliveryQuery,
  WebhookDeliveryQuerySchema,
  type WebhookDeliveryResource,
  WebhookDeliverySchema,
  WebhookEndpointListSchema,
  type WebhookEndpointResource,
  WebhookEndpointSchema,
} from '#contracts/webhook-endpoints-api.js';
import { WebhookDeliveries } from '#pipelines/webhooks/webhook-deliveries.service.js';
import { WebhookEndpoints } from '#pipelines/webhooks/webhook-endpoints.service.js';

@ApiTags('Webhook endpoints')
@Controller('v1/webhook-endpoints')
@RequireScope('adapters')
export class WebhookEndpointsController {
  constructor(
    private readonly endpoints: WebhookEndpoints,
    private readonly deliveries: WebhookDeliveries,
  ) {}

  @Post()
  @ApiOperation({
    summary: 'Create a webhook endpoint: a URL that is told of events',
    description: 'The secret that signs them is in this answer and in no other.',
  })
  @ApiCreatedResponse({ standardSchema: CreatedWebhookEndpointSchema })
  create(
    @CurrentCaller() { tenant }: Caller,
    @Body({ schema: CreateWebhookEndpointSchema }) body: CreateWebhookEndpoint,
  ): Promise<CreatedWebhookEndpoint> {
    return this.endpoints.create(tenant.id, body);
  }

  @Get()
  @ApiOperation({ summary: 'List webhook endpoints, newest first' })
  @ApiOkResponse({ standardSchema: WebhookEndpointListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: PageQuerySchema }) query: PageQuery,
  ): Promise<List<WebhookEndpointResource>> {
    return this.endpoints.list(tenant.id, query);
  }

  @Get(':endpoint')
  @ApiOperation({ summary: 'Get a webhook endpoint' })
  @ApiOkResponse({ standardSchema: WebhookEndpointSchema })
  get(
    @CurrentCaller() { tenant }: Caller,
    @Param('endpoint') endpoint: string,
  ): Promise<WebhookEndpointResource> {
    return this.endpoints.get(tenant.id, endpoint);
  }

  @Patch(':endpoint')
  @ApiOperation({ summary: 'Change, disable or enable a webhook endpoint' })
  @ApiOkResponse({ standardSchema: WebhookEndpointSchema })
  patch(
    @CurrentCaller() { tenant }: Caller,
    @Param('endpoint') endpoint: string,
    @Body({ schema: PatchWebhookEndpointSchema }) body: PatchWebhookEndpoint,
  ): Promise<WebhookEndpointResource> {
    return this.endpoints.patch(tenant.id, endpoint, body);
  }

  @Post(':endpoint/rotate')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Give a webhook endpoint a new secret',
    description: 'For `overlap_seconds` every event carries two signatures: one by each secret.',
  })
  @ApiOkResponse({ standardSchema: CreatedWebhookEndpointSchema })
  rotate(
    @CurrentCaller() { tenant }: Caller,
    @Param('endpoint') endpoint: string,
    @Body({ schema: RotateSecretSchema }) body: RotateSecret,
  ): Promise<CreatedWebhookEndpoint> {
    return this.endpoints.rotate(tenant.id, endpoint, body);
  }

  @Delete(':endpoint')
  @ApiOperation({ summary: 'Delete a webhook endpoint and the log of its deliveries' })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant }: Caller,
    @Param('endpoint') endpoint: string,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.endpoints.remove(tenant.id, endpoint);
    return { id: endpoint, object: 'webhook_endpoint', deleted: true };
  }

  @Get(':endpoint/deliveries')
  @ApiOperation({ summary: 'List what an endpoint was told, newest first' })
  @ApiOkResponse({ standardSchema: WebhookDeliveryListSchema })
  listDeliveries(
    @CurrentCaller() { tenant }: Caller,
    @Param('endpoint') endpoint: string,
    @Query({ schema: WebhookDeliveryQuerySchema }) query: WebhookDeliveryQuery,
  ): Promise<List<WebhookDeliveryResource>> {
    return this.deliveries.list(tenant.id, endpoint, query);
  }

  @Get(':endpoint/deliveries/:delivery')
  @ApiOperation({ summary: 'Get a delivery with what was sent and every attempt' })
  @ApiOkResponse({ standardSchema: WebhookDeliveryDetailSchema })
  getDelivery(
    @CurrentCaller() { tenant }: Caller,
    @Param('endpoint') endpoint: string,
    @Param('delivery') delivery: string,
  ): Promise<WebhookDeliveryDetail> {
    return this.deliveries.get(tenant.id, endpoint, delivery);
  }

  @Post(':endpoint/deliveries/:delivery/replay')
  @HttpCode(202)
  @ApiOperation({ summary: 'Deliver an event again, under its `webhook-id`' })
  @ApiAcceptedResponse({ standardSchema: WebhookDeliverySchema })
  replay(
    @CurrentCaller() { tenant }: Caller,
    @Param('endpoint') endpoint: string,
    @Param('delivery') delivery: string,
  ): Promise<WebhookDeliveryResource> {
    return this.deliveries.replay(tenant.id, endpoint, delivery);
  }
}
