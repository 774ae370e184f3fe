import { Injectable } from '@nestjs/common';
import type { CreateAdapter } from '#contracts/adapters-api.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { AppError } from '#runtime/app-error.js';

/** What a new adapter's name and base model must not be, given the base model that is served. */
@Injectable()
export class BaseModelRules {
  constructor(private readonly fleet: EngineFleet) {}

  async check({ name, base_model }: Pick<CreateAdapter, 'name' | 'base_model'>): Promise<void> {
    if (base_model === undefined && !this.fleet.ready()) return; // the name alone is no reason to wait for an engine
    const base = await this.fleet.base();
    if (base_model !== undefined && base_model !== base.name) {
      throw new AppError('invalid_request', {
        message: `No engine serves the base model ${base_model}; the one served is ${base.name}.`,
        param: 'base_model',
      });
    }
    if (name === base.name) {
      throw new AppError('already_exists', { message: `${name} is the base model's name.`, param: 'name' });
    }
  }
}
