import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { type RotateSecret, RotateSecretSchema } from '#contracts/hooks-api.js';
import { DeletedSchema, type List, type PageQuery, PageQuerySchema } from '#contracts/resource.js';
import {
  type CreatedTrainer,
  CreatedTrainerSchema,
  type CreateTrainer,
  CreateTrainerSchema,
  TrainerListSchema,
  type TrainerResource,
  TrainerSchema,
} from '#contracts/trainers-api.js';
import { type TrainerCaller, TrainersService } from '#pipelines/trainers/trainers.service.js';
import { BaseUrl } from './base-url.js';

@ApiTags('Fine-tuning')
@Controller('v1/trainers')
@RequireScope('adapters')
export class TrainersController {
  constructor(
    private readonly trainers: TrainersService,
    private readonly baseUrl: BaseUrl,
  ) {}

  @Post()
  @ApiOperation({
    summary: 'Register a trainer: a service that fine-tuning jobs are handed to',
    description: 'The one secret in this answer signs the jobs that it gets and the reports that it posts.',
  })
  @ApiCreatedResponse({ standardSchema: CreatedTrainerSchema })
  create(
    @CurrentCaller() caller: Caller,
    @Body({ schema: CreateTrainerSchema }) body: CreateTrainer,
  ): Promise<CreatedTrainer> {
    return this.trainers.create(callerOf(caller), body, this.baseUrl.url);
  }

  @Get()
  @ApiOperation({ summary: "List trainers, one's own and the shared ones, newest first" })
  @ApiOkResponse({ standardSchema: TrainerListSchema })
  list(
    @CurrentCaller() caller: Caller,
    @Query({ schema: PageQuerySchema }) query: PageQuery,
  ): Promise<List<TrainerResource>> {
    return this.trainers.list(callerOf(caller), query, this.baseUrl.url);
  }

  @Get(':trainer')
  @ApiOperation({ summary: 'Get a trainer' })
  @ApiOkResponse({ standardSchema: TrainerSchema })
  get(@CurrentCaller() caller: Caller, @Param('trainer') trainer: string): Promise<TrainerResource> {
    return this.trainers.get(callerOf(caller), trainer, this.baseUrl.url);
  }

  @Post(':trainer/rotate')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Give a trainer a new secret; the old one is used beside it for `overlap_seconds`',
  })
  @ApiOkResponse({ standardSchema: CreatedTrainerSchema })
  rotate(
    @CurrentCaller() caller: Caller,
    @Param('trainer') trainer: string,
    @Body({ schema: RotateSecretSchema }) body: RotateSecret,
  ): Promise<CreatedTrainer> {
    return this.trainers.rotate(callerOf(caller), trainer, body, this.baseUrl.url);
  }

  @Delete(':trainer')
  @ApiOperation({
    summary: 'Delete a trainer',
    description: 'Refused with 409 while it has jobs that have not ended.',
  })
  @ApiOkResponse({ standardSchema: DeletedSchema })
  async remove(
    @CurrentCaller() caller: Caller,
    @Param('trainer') trainer: string,
  ): Promise<z.infer<typeof DeletedSchema>> {
    await this.trainers.remove(callerOf(caller), trainer, this.baseUrl.url);
    return { id: trainer, object: 'trainer', deleted: true };
  }
}

function callerOf({ tenant, operator }: Caller): TrainerCaller {
  return { tenantId: tenant.id, operator };
}
