import { Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import {
  EngineListSchema,
  type EngineResource,
  EngineSchema,
  type Fit,
  type FitQuery,
  FitQuerySchema,
  FitSchema,
} from '#contracts/engines-api.js';
import type { List } from '#contracts/resource.js';
import { EnginesService } from './engines.service.js';

@ApiTags('Operator')
@Controller('v1/admin/engines')
@RequireOperator()
export class EnginesController {
  constructor(private readonly engines: EnginesService) {}

  @Get()
  @ApiOperation({ summary: 'List engines: health, load, KV pages, resident adapters' })
  @ApiOkResponse({ standardSchema: EngineListSchema })
  list(): Promise<List<EngineResource>> {
    return this.engines.list();
  }

  @Get(':engine')
  @ApiOperation({ summary: 'Get an engine by its id, or by its name where only one has it' })
  @ApiOkResponse({ standardSchema: EngineSchema })
  get(@Param('engine') engine: string): Promise<EngineResource> {
    return this.engines.get(engine);
  }

  @Get(':engine/fit')
  @ApiOperation({
    summary: 'Estimate what adapters of a rank and set of modules would cost on an engine',
    description: 'Bytes at most, how many stay on the device at once, and the share of speed that is left.',
  })
  @ApiOkResponse({ standardSchema: FitSchema })
  fit(@Param('engine') engine: string, @Query({ schema: FitQuerySchema }) query: FitQuery): Fit {
    return this.engines.fit(engine, query);
  }

  @Post(':engine/drain')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Let an engine finish what it runs and take nothing new',
    description: 'In every API process at once; until it is undrained or restarts.',
  })
  @ApiOkResponse({ standardSchema: EngineSchema })
  drain(@Param('engine') engine: string): Promise<EngineResource> {
    return this.engines.setDrained(engine, true);
  }

  @Post(':engine/undrain')
  @HttpCode(200)
  @ApiOperation({ summary: 'Send requests to a drained engine again' })
  @ApiOkResponse({ standardSchema: EngineSchema })
  undrain(@Param('engine') engine: string): Promise<EngineResource> {
    return this.engines.setDrained(engine, false);
  }
}
