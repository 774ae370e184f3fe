import { Injectable } from '@nestjs/common';
import { ModelResolver } from '#adapters/model-resolver.service.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { Model, ModelList } from '#contracts/openai/model.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { checkBase } from './served-model.js';

interface Tenant {
  readonly id: string;
  readonly name: string;
}

/** What the base model is said to be owned by. */
const BASE_OWNER = 'lorikeet';

/** The names that a tenant may write in `model`. */
@Injectable()
export class ModelsService {
  /** A checkpoint has no date of its own. */
  readonly #started = new Date();

  constructor(
    private readonly fleet: EngineFleet,
    private readonly resolver: ModelResolver,
  ) {}

  async list(tenant: Tenant): Promise<ModelList> {
    const base = await this.fleet.base();
    const adapters = await this.resolver.listCallable(tenant.id);
    const data = adapters
      .filter(({ name }) => name !== base.name)
      .map(({ name, createdAt }) => adapterModel(name, tenant, base, createdAt));
    return { object: 'list', data: [this.#baseModel(base), ...data] };
  }

  /** One name as it may stand in `model`, also with a version or alias; throws model_not_found. */
  async get(tenant: Tenant, id: string): Promise<Model> {
    const base = await this.fleet.base();
    if (id === base.name) return this.#baseModel(base);
    const version = await this.resolver.resolve(tenant.id, id, undefined);
    checkBase({ base, version });
    const callable = await this.resolver.listCallable(tenant.id);
    const known = callable.find(({ name }) => name === withoutVersion(id) || name === version.adapter);
    return adapterModel(id, tenant, base, known?.createdAt ?? this.#started);
  }

  #baseModel(base: BaseModel): Model {
    return {
      id: base.name,
      object: 'model',
      created: unixSeconds(this.#started),
      owned_by: BASE_OWNER,
      parent: null,
      max_model_len: base.maxContext,
    };
  }
}

function adapterModel(id: string, tenant: Tenant, base: BaseModel, createdAt: Date): Model {
  const owner = id.includes('/') ? id.slice(0, id.indexOf('/')) : tenant.name;
  return {
    id,
    object: 'model',
    created: unixSeconds(createdAt),
    owned_by: owner,
    parent: base.name,
    max_model_len: base.maxContext,
  };
}

/** `adapter@3` and `adapter:alias` without what follows the adapter's name. */
function withoutVersion(id: string): string {
  return id.replace(/[@:].*$/, '');
}

function unixSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
