import { readFileSync } from 'node:fs';
import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { findPackageFile } from './package-file.js';

const VersionSchema = z.object({ version: z.string() });
const PongSchema = z.object({ status: z.literal('live') });

const { version } = VersionSchema.parse(
  JSON.parse(readFileSync(findPackageFile(import.meta.dirname), 'utf8')),
);

/** What load balancers and clients of other servers ask for. */
@ApiTags('Health')
@Controller()
export class VersionController {
  @Get('version')
  @ApiOperation({ summary: "The server's version", security: [] })
  @ApiOkResponse({ standardSchema: VersionSchema })
  get(): z.infer<typeof VersionSchema> {
    return { version };
  }

  @Get('ping')
  @ApiOperation({ summary: 'As /health/live', security: [] })
  @ApiOkResponse({ standardSchema: PongSchema })
  ping(): z.infer<typeof PongSchema> {
    return { status: 'live' };
  }
}
