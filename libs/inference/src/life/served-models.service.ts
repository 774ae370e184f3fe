import { Injectable } from '@nestjs/common';
import { isSource, sourceAdapterName, SourceModels } from '#adapters/imports/source-models.service.js';
import { ModelResolver } from '#adapters/registry/model-resolver.service.js';
import type { ResolvedVersion } from '#adapters/registry/served-target.js';
import type { BaseModel } from '#contracts/base-model.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { AppError } from '#runtime/app-error.js';
import type { Asker } from './asker.js';
import { modelFault, parseComposition } from './model-composition.js';
import type { ServedModel } from './served-model.js';

interface Named {
  /** Absent: the base model. */
  readonly model: string | undefined;
  readonly user: string | undefined;
}

const NOT_THERE: ReadonlySet<string> = new Set(['model_not_found', 'version_not_ready']);

/** Finds what a request's `model` stands for at this moment. */
@Injectable()
export class ServedModels {
  constructor(
    private readonly fleet: EngineFleet,
    private readonly models: ModelResolver,
    private readonly sources: SourceModels,
  ) {}

  /** A source of files is imported where it is new to the tenant: `signal` ends the wait for that. */
  async find(asker: Asker, { model, user }: Named, signal: AbortSignal): Promise<ServedModel> {
    const base = await this.fleet.base();
    if (model === undefined || model === base.name) return { base, parts: [] };
    if (isSource(model)) {
      const version = await this.#ofSource(model, { asker, base, user, signal });
      return { base, parts: [{ version, weight: 1 }] };
    }
    const named = parseComposition(model) ?? [{ model, weight: 1 }];
    const ofBase = named.find((part) => part.model === base.name);
    if (ofBase)
      throw modelFault(`"${base.name}" is the base model, which adapters change: name adapters alone`);
    const parts = await Promise.all(
      named.map(async ({ model: name, weight }) => ({
        version: await this.models.resolve(asker.tenant.id, {
          model: name,
          user,
          base: asker.heldToo ? { ...base, heldToo: true } : base,
        }),
        weight,
      })),
    );
    for (const [i, { version }] of parts.entries()) {
      const twin = parts.findIndex((other) => other.version.digest === version.digest);
      if (twin < i) throw modelFault(`"${named[twin]?.model}" and "${named[i]?.model}" are the same adapter`);
    }
    return { base, parts };
  }

  async #ofSource(source: string, { asker, base, user, signal }: SourceUse): Promise<ResolvedVersion> {
    const { id: tenantId } = asker.tenant;
    const known = { model: sourceAdapterName(source), user, base };
    try {
      return await this.models.resolve(tenantId, known);
    } catch (error) {
      if (!(error instanceof AppError) || !NOT_THERE.has(error.code)) throw error;
    }
    const mayImport = asker.scopes?.includes('adapters') ?? false;
    await this.sources.ready(source, { tenantId, mayImport, signal });
    return this.models.resolve(tenantId, known);
  }
}

interface SourceUse {
  readonly asker: Asker;
  readonly base: BaseModel;
  readonly user: string | undefined;
  readonly signal: AbortSignal;
}
