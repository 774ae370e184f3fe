import { Controller, Get } from '@nestjs/common';
import { EngineHost } from './engine-host.js';
import { WithoutToken } from './token.guard.js';

@WithoutToken()
@Controller('health')
export class HealthController {
  constructor(private readonly host: EngineHost) {}

  @Get('live')
  live(): { status: string } {
    return { status: 'ok' };
  }

  /** 503 until the model is loaded, and again while it drains. */
  @Get('ready')
  ready(): { status: string } {
    this.host.engine();
    return { status: 'ok' };
  }
}
