import { Controller, HttpCode, Post } from '@nestjs/common';
import { EngineHost } from './engine-host.js';

@Controller()
export class DrainController {
  constructor(private readonly host: EngineHost) {}

  @Post('drain')
  @HttpCode(204)
  drain(): void {
    this.host.drain();
  }

  @Post('undrain')
  @HttpCode(204)
  undrain(): void {
    this.host.undrain();
  }
}
