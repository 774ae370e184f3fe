import { Body, Controller, Get, Put } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RequireOperator } from '#accounts/caller.js';
import {
  type MaintenanceResource,
  MaintenanceSchema,
  type PutMaintenance,
  PutMaintenanceSchema,
} from '#contracts/maintenance-api.js';
import { MaintenanceService } from '#stores/maintenance/maintenance.service.js';

@ApiTags('Operator')
@Controller('v1/admin/maintenance')
@RequireOperator()
export class MaintenanceController {
  constructor(private readonly maintenance: MaintenanceService) {}

  @Get()
  @ApiOperation({ summary: 'Get whether the service is under maintenance' })
  @ApiOkResponse({ standardSchema: MaintenanceSchema })
  get(): MaintenanceResource {
    return this.maintenance.current;
  }

  @Put()
  @ApiOperation({
    summary: 'Begin or end maintenance',
    description:
      'While it lasts, inference and changes answer 503 with `retry-after` and this message; reads, calls with an ' +
      'operator key and requests that run already go on.',
  })
  @ApiOkResponse({ standardSchema: MaintenanceSchema })
  put(@Body({ schema: PutMaintenanceSchema }) body: PutMaintenance): Promise<MaintenanceResource> {
    return this.maintenance.put(body);
  }
}
