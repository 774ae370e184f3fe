import { Controller, Get, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiServiceUnavailableResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { HealthService, type Readiness } from './health.service.js';

const CheckSchema = z.enum(['up', 'down']);
const ReadinessSchema = z.object({
  status: z.enum(['ready', 'not_ready']),
  checks: z.object({ database: CheckSchema, queue: CheckSchema, engine: CheckSchema }),
});
const LiveSchema = z.object({ status: z.literal('live') });

@ApiTags('Health')
@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get()
  @ApiOperation({ summary: 'As /health/live', security: [] })
  @ApiOkResponse({ standardSchema: LiveSchema })
  bare(): z.infer<typeof LiveSchema> {
    return this.live();
  }

  @Get('live')
  @ApiOperation({ summary: 'Whether the process runs', security: [] })
  @ApiOkResponse({ standardSchema: LiveSchema })
  live(): z.infer<typeof LiveSchema> {
    return { status: 'live' };
  }

  @Get('ready')
  @ApiOperation({ summary: 'Whether database, queue and an engine can serve now', security: [] })
  @ApiOkResponse({ standardSchema: ReadinessSchema })
  @ApiServiceUnavailableResponse({ standardSchema: ReadinessSchema })
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Readiness> {
    const readiness = await this.health.readiness();
    if (readiness.status !== 'ready') void reply.status(503).header('retry-after', '1');
    return readiness;
  }
}
