import { Injectable } from '@nestjs/common';
import { ModelResolver } from '#adapters/registry/model-resolver.service.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { modelFault, parseComposition } from './model-composition.js';
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
    if (model === undefined || model === base.name) return { base, parts: [] };
    const named = parseComposition(model) ?? [{ model, weight: 1 }];
    const ofBase = named.find((part) => part.model === base.name);
    if (ofBase)
      throw modelFault(`"${base.name}" is the base model, which adapters change: name adapters alone`);
    const parts = await Promise.all(
      named.map(async ({ model: name, weight }) => ({
        version: await this.models.resolve(tenantId, { model: name, user, base }),
        weight,
      })),
    );
    for (const [i, { version }] of parts.entries()) {
      const twin = parts.findIndex((other) => other.version.digest === version.digest);
      if (twin < i) throw modelFault(`"${named[twin]?.model}" and "${named[i]?.model}" are the same adapter`);
    }
    return { base, parts };
  }
}
