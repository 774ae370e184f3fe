import { Module } from '@nestjs/common';
import { JobMetrics } from './job-metrics.js';

/** One set of metrics for all jobs of the process. */
@Module({ providers: [JobMetrics], exports: [JobMetrics] })
export class JobMetricsModule {}
