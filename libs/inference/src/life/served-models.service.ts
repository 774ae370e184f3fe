import { Injectable } from '@nestjs/common';
import { ModelResolver } from '#adapters/registry/model-resolver.service.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import type { ServedModel } from './served-model.js';

interface Named {
  /** Absent: the base model. */
  readonly model: string | undefined;
  readonly user: string | undefined;
}

/** Finds what a request's `model` stands for at this moment. */
@Injectable()
export class ServedModels {
  constructor(
    private readonly fleet: EngineFleet,
    private readonly models: ModelResolver,
  ) {}

  async find(tenantId: string, { model, user }: Named): Promise<ServedModel> {
    const base = await this.fleet.base();
    if (model === undefined || model === base.name) return { base, version: undefined };
    return { base, version: await this.models.resolve(tenantId, { model, user, base }) };
  }
}
