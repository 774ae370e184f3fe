import { type DynamicModule, Module } from '@nestjs/common';
import type { Tracing } from '#runtime/tracing/trace-span.js';
import { TRACING } from '../worker-tokens.js';
import { JobMetrics } from './job-metrics.js';

/** Metrics and traces of jobs. Once in a process: all jobs share them. */
@Module({})
export class JobMetricsModule {
  /** `tracing` undefined: no job is traced. */
  static forRoot(tracing: Tracing | undefined): DynamicModule {
    return {
      module: JobMetricsModule,
      providers: [{ provide: TRACING, useValue: tracing }, JobMetrics],
      exports: [JobMetrics],
    };
  }
}
