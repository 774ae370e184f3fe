import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type AnyCaller, CurrentKey, RequireKey } from '#accounts/caller.js';
import { type Whoami, WhoamiSchema } from '#contracts/whoami-api.js';

@ApiTags('Keys')
@Controller('v1/whoami')
export class WhoamiController {
  @Get()
  @RequireKey()
  @ApiOperation({ summary: 'Tell whose key this is and what it may do' })
  @ApiOkResponse({ standardSchema: WhoamiSchema })
  get(@CurrentKey() { keyId, operator, scopes, tenant }: AnyCaller): Whoami {
    return {
      object: 'caller',
      operator,
      key_id: keyId,
      scopes: [...scopes],
      tenant: tenant ? { id: tenant.id, name: tenant.name, state: tenant.state } : null,
    };
  }
}
