import { Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import { EngineListSchema, type EngineResource, EngineSchema } from '#contracts/engines-api.js';
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
