import { Controller, Get, Inject } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import type { List } from '#contracts/resource.js';
import { SettingListSchema, type SettingResource } from '#contracts/settings-api.js';

export const SETTINGS_REPORT = Symbol('SETTINGS_REPORT');

@ApiTags('Operator')
@Controller('v1/admin/settings')
@RequireOperator()
export class SettingsController {
  constructor(@Inject(SETTINGS_REPORT) private readonly report: readonly SettingResource[]) {}

  @Get()
  @ApiOperation({
    summary: 'List the settings of this API process, by name',
    description: 'They are environment variables, read at start. Secrets are named without their value.',
  })
  @ApiOkResponse({ standardSchema: SettingListSchema })
  list(): List<SettingResource> {
    const data = [...this.report];
    return { object: 'list', data, has_more: false, last_id: data.at(-1)?.name ?? null };
  }
}
