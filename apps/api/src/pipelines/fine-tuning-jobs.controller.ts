import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  type CreateFineTuningJob,
  CreateFineTuningJobSchema,
  type FineTuningJob,
  type FineTuningJobEventList,
  FineTuningJobEventListSchema,
  type FineTuningJobList,
  FineTuningJobListSchema,
  FineTuningJobSchema,
  type FineTuningPage,
  FineTuningPageSchema,
} from '#contracts/openai/fine-tuning.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { FineTuningJobs } from '#pipelines/fine-tuning/fine-tuning-jobs.service.js';
import { AppError } from '#runtime/app-error.js';
import { metadataFilter } from './metadata-filter.js';
import { BaseUrl } from './base-url.js';

@ApiTags('Fine-tuning')
@Controller('v1/fine_tuning/jobs')
@RequireScope('adapters')
export class FineTuningJobsController {
  constructor(
    private readonly jobs: FineTuningJobs,
    private readonly fleet: EngineFleet,
    private readonly baseUrl: BaseUrl,
  ) {}

  @Post()
  @HttpCode(200)
  @ApiOperation({
    summary: 'Create a fine-tuning job, which is handed to a registered trainer',
    description:
      'OpenAI-compatible, and takes `adapter` and `trainer`. `training_file` is handed on as it is.',
  })
  @ApiOkResponse({ standardSchema: FineTuningJobSchema })
  async create(
    @CurrentCaller() { tenant }: Caller,
    @Body({ schema: CreateFineTuningJobSchema }) body: CreateFineTuningJob,
  ): Promise<FineTuningJob> {
    const base = await this.fleet.base();
    if (body.model !== base.name) {
      throw new AppError('model_not_found', {
        message: `No engine serves the base model ${body.model}; the one served is ${base.name}.`,
        param: 'model',
      });
    }
    if ((body.adapter ?? body.suffix) === base.name) {
      throw new AppError('already_exists', {
        message: `${base.name} is the base model's name.`,
        param: body.adapter === undefined ? 'suffix' : 'adapter',
      });
    }
    return this.jobs.create(tenant, body, this.baseUrl.url);
  }

  @Get()
  @ApiOperation({
    summary: 'List fine-tuning jobs, newest first',
    description:
      '`metadata[key]=value` (also several) keeps the jobs that have it, `metadata=null` those without any.',
  })
  @ApiOkResponse({ standardSchema: FineTuningJobListSchema })
  list(
    @CurrentCaller() { tenant }: Caller,
    @Query({ schema: FineTuningPageSchema }) query: FineTuningPage,
    @Query() all: Readonly<Record<string, unknown>>,
  ): Promise<FineTuningJobList> {
    return this.jobs.list(tenant, query, metadataFilter(all));
  }

  @Get(':job')
  @ApiOperation({ summary: 'Get a fine-tuning job' })
  @ApiOkResponse({ standardSchema: FineTuningJobSchema })
  get(@CurrentCaller() { tenant }: Caller, @Param('job') job: string): Promise<FineTuningJob> {
    return this.jobs.get(tenant, job);
  }

  @Get(':job/events')
  @ApiOperation({ summary: 'List what happened to a fine-tuning job, newest first' })
  @ApiOkResponse({ standardSchema: FineTuningJobEventListSchema })
  events(
    @CurrentCaller() { tenant }: Caller,
    @Param('job') job: string,
    @Query({ schema: FineTuningPageSchema }) query: FineTuningPage,
  ): Promise<FineTuningJobEventList> {
    return this.jobs.events(tenant, job, query);
  }

  @Post(':job/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'Cancel a fine-tuning job, and tell its trainer' })
  @ApiOkResponse({ standardSchema: FineTuningJobSchema })
  cancel(@CurrentCaller() { tenant }: Caller, @Param('job') job: string): Promise<FineTuningJob> {
    return this.jobs.cancel(tenant, job);
  }
}
