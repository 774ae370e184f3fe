import { Controller, Delete, HttpCode, Param, Put, Query, UseGuards } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { z } from 'zod';
import { type EngineRegistration, EngineRegistrationSchema } from '#contracts/engines-api.js';
import { NameSchema } from '#contracts/resource.js';
import { EngineRegistrations } from '#fleet/engine-registrations.service.js';
import { EngineTokenGuard } from './engine-token.guard.js';

/** What engines call themselves (CONTROL_URL), with the secret that they share with this process instead of a key. */
@ApiExcludeController()
@Controller('internal/engines')
@UseGuards(EngineTokenGuard)
export class EngineRegistrationsController {
  constructor(private readonly registrations: EngineRegistrations) {}

  /** Now, and again every few seconds. */
  @Put(':name')
  @HttpCode(204)
  async register(
    @Param({ schema: z.object({ name: NameSchema }) }) { name }: { name: string },
    @Query({ schema: EngineRegistrationSchema }) registration: EngineRegistration,
  ): Promise<void> {
    await this.registrations.register(name, registration);
  }

  @Delete(':name')
  @HttpCode(204)
  async remove(@Param('name') name: string, @Query('instance') instance = ''): Promise<void> {
    await this.registrations.remove(name, instance);
  }
}
