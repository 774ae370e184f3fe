import { Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import {
  type JobList,
  JobListSchema,
  type JobQuery,
  JobQuerySchema,
  JobQueueListSchema,
  type JobQueueResource,
  type JobResource,
  JobSchema,
  type JobWithLogs,
  JobWithLogsSchema,
} from '#contracts/jobs-api.js';
import type { List } from '#contracts/resource.js';
import { JobsService } from './jobs.service.js';

@ApiTags('Operator')
@Controller('v1/admin/jobs')
@RequireOperator()
export class JobsController {
  constructor(private readonly jobs: JobsService) {}

  @Get()
  @ApiOperation({ summary: 'List the queues of background jobs with their counts' })
  @ApiOkResponse({ standardSchema: JobQueueListSchema })
  queues(): Promise<List<JobQueueResource>> {
    return this.jobs.queues();
  }

  @Get(':queue')
  @ApiOperation({
    summary: 'List jobs of one queue, newest first within a state',
    description: 'Ended jobs are kept for a while: completed ones for an hour, failed ones for a week.',
  })
  @ApiOkResponse({ standardSchema: JobListSchema })
  list(@Param('queue') queue: string, @Query({ schema: JobQuerySchema }) query: JobQuery): Promise<JobList> {
    return this.jobs.list(queue, query);
  }

  @Get(':queue/:job')
  @ApiOperation({ summary: 'Get a job with its progress and the last lines of its log' })
  @ApiOkResponse({ standardSchema: JobWithLogsSchema })
  get(@Param('queue') queue: string, @Param('job') job: string): Promise<JobWithLogs> {
    return this.jobs.get(queue, job);
  }

  @Post(':queue/:job/retry')
  @HttpCode(200)
  @ApiOperation({ summary: 'Run a failed job again' })
  @ApiOkResponse({ standardSchema: JobSchema })
  retry(@Param('queue') queue: string, @Param('job') job: string): Promise<JobResource> {
    return this.jobs.retry(queue, job);
  }

  @Post(':queue/:job/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'Give up a job that has not ended' })
  @ApiOkResponse({ standardSchema: JobSchema })
  cancel(@Param('queue') queue: string, @Param('job') job: string): Promise<JobResource> {
    return this.jobs.cancel(queue, job);
  }
}
