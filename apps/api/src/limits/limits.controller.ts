import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, CurrentCaller, RequireScope } from '#accounts/caller.js';
import { type LimitsResource, LimitsSchema } from '#contracts/limits-api.js';
import { LimitsService } from './limits.service.js';

@ApiTags('Usage')
@Controller('v1/limits')
@RequireScope('inference', 'adapters', 'usage')
export class LimitsController {
  constructor(private readonly limits: LimitsService) {}

  @Get()
  @ApiOperation({ summary: "Get the tenant's quotas, the key's limits, and what is stored" })
  @ApiOkResponse({ standardSchema: LimitsSchema })
  get(@CurrentCaller() caller: Caller): Promise<LimitsResource> {
    return this.limits.ofCaller(caller);
  }
}
