import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  type CreatedHook,
  CreatedHookSchema,
  type CreateHook,
  CreateHookSchema,
  type HookDelivery,
  HookDeliveryListSchema,
  HookDeliverySchema,
  HookListSchema,
  type HookResource,
  HookSchema,
  type PatchHook,
  PatchHookSchema,
  type RotateSecret,
  RotateSecretSchema,
} from '#contracts/hooks-api.js';
import { DeletedSchema, type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';
import { HookDeliveries } from '#pipelines/hooks/hook-deliveries.service.js';
import { HooksService } from '#pipelines/hooks/hooks.service.js';
import { BaseUrl } from './base-url.js';

@ApiTags('Fine-tune pipelines')
@Controller('v1/hooks')
@RequireScope('adapters')
export class HooksController {
  constructor(
    private readonly hooks: HooksService,
    private readonly deliveries: HookDeliveries,
    private readonly baseUrl: BaseUrl,
  ) {}

  @Post()
  @ApiOperation({
    summary: 'Create a hook: a URL to which a fine-tune pipeline posts what it trained',
    description: 'The secret that signs its events is in this answer and in no other.',
  })
  @ApiCreatedResponse({ standardSchema: CreatedHookSchema })
  create(
    @CurrentCaller() { tenant }: Caller,
    @Body({ schema: CreateHookSchema }) body: CreateHook,
  ): Promise<CreatedHook> {
    return this.hooks.create(tenant.id, body, this.baseUrl.url);
  }

  @Get()
  @ApiOperation({ summary: 'List hooks, newest first' })
  @ApiOkResponse({ standardSchema: HookListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: PageQuerySchema }) query: PageQuery,
  ): Promise<List<HookResource>> {
    return this.hooks.list(tenant.id, query, this.baseUrl.url);
  }

  @Get(':hook')
  @ApiOperation({ summary: 'Get a hook' })
  @ApiOkResponse({ standardSchema: HookSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('hook') hook: string): Promise<HookResource> {
    return this.hooks.get(tenant.id, hook, this.baseUrl.url);
  }

  @Patch(':hook')
  @ApiOperation({ summary: "Change a hook's name, adapter or policy" })
  @ApiOkResponse({ standardSchema: HookSchema })
  patch(
    @CurrentCaller() { tenant }: Caller,
    @Param('hook') hook: string,
    @Body({ schema: PatchHookSchema }) body: PatchHook,
  ): Promise<HookResource> {
    return this.hooks.patch(tenant.id, hook, body, this.baseUrl.url);
  }

  @Post(':hook/rotate')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Give a hook a new secret',
    description: 'The old one goes on being taken for `overlap_seconds`, so that senders can change over.',
  })
  @ApiOkResponse({ standardSchema: CreatedHookSchema })
  rotate(
    @CurrentCaller() { tenant }: Caller,
    @Param('hook') hook: string,
    @Body({ schema: RotateSecretSchema }) body: RotateSecret,
  ): Promise<CreatedHook> {
    return this.hooks.rotate(tenant.id, hook, body, this.baseUrl.url);
  }

  @Delete(':hook')
  @ApiOperation({ summary: 'Delete a hook and the log of its deliveries' })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() { tenant }: Caller,
    @Param('hook') hook: string,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.hooks.remove(tenant.id, hook, this.baseUrl.url);
    return { id: hook, object: 'hook', deleted: true };
  }

  @Get(':hook/deliveries')
  @ApiOperation({ summary: 'List the events that were posted to a hook, newest first' })
  @ApiOkResponse({ standardSchema: HookDeliveryListSchema })
  listDeliveries(
    @CurrentCaller() { tenant }: Caller,
    @Param('hook') hook: string,
    @Query({ schema: PageQuerySchema }) query: PageQuery,
  ): Promise<List<HookDelivery>> {
    return this.deliveries.list(tenant.id, hook, query);
  }

  @Get(':hook/deliveries/:delivery')
  @ApiOperation({
    summary: 'Get an event and what became of it',
    description: 'With the version that it made, and what the policy of the hook decided and why.',
  })
  @ApiOkResponse({ standardSchema: HookDeliverySchema })
  getDelivery(
    @CurrentCaller() { tenant }: Caller,
    @Param('hook') hook: string,
    @Param('delivery') delivery: string,
  ): Promise<HookDelivery> {
    return this.deliveries.get(tenant.id, hook, delivery);
  }
}
