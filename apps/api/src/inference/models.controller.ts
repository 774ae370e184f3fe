import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import {
  type Model,
  type ModelList,
  ModelListSchema,
  type ModelQuery,
  ModelQuerySchema,
  ModelSchema,
} from '#contracts/openai/model.js';
import { ModelsService } from './models.service.js';

@ApiTags('Inference')
@Controller('v1/models')
@RequireScope('inference')
export class ModelsController {
  constructor(private readonly models: ModelsService) {}

  @Get()
  @ApiOperation({
    summary: 'List the base model and the adapters that the key may call',
    description: "The tenant's own adapters, then those shared with it as `owner/adapter`.",
  })
  @ApiOkResponse({ standardSchema: ModelListSchema })
  list(
    @CurrentCaller() caller: Caller,
    @Query({ schema: ModelQuerySchema }) query: ModelQuery,
  ): Promise<ModelList> {
    return this.models.list(caller.tenant, query);
  }

  // A wildcard, as names may hold slashes (`tenant/adapter`), encoded or not.
  @Get('*')
  @ApiOperation({ summary: 'Get one model by a name that `model` takes' })
  @ApiParam({ name: 'path', description: 'The name, e.g. support-bot, support-bot@3, acme/support-bot' })
  @ApiOkResponse({ standardSchema: ModelSchema })
  get(@CurrentCaller() caller: Caller, @Param('*') id: string): Promise<Model> {
    return this.models.get(caller.tenant, id);
  }
}
