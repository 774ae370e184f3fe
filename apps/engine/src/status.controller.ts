import { Controller, Get } from '@nestjs/common';
import type { EngineStatus } from '#contracts/engine-protocol.js';
import { EngineHost } from './engine-host.js';

@Controller()
export class StatusController {
  constructor(private readonly host: EngineHost) {}

  @Get('status')
  status(): EngineStatus {
    return this.host.status();
  }
}
