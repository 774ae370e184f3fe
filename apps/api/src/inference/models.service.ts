import { Injectable } from '@nestjs/common';
import { type CallableModel, CallableModels } from '#adapters/registry/callable-models.service.js';
import { ModelResolver } from '#adapters/registry/model-resolver.service.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { Model, ModelList, ModelQuery } from '#contracts/openai/model.js';
import { EngineFleet } from '#fleet/engine-fleet.js';

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
    private readonly callable: CallableModels,
  ) {}

  /** The base model first; with `limit`, a page of at most so many. */
  async list(tenant: Tenant, { limit, after }: ModelQuery = {}): Promise<ModelList> {
    const base = await this.fleet.base();
    // The base model may have been on the last page: its name is no adapter's.
    const fresh = after === undefined;
    const adapters = await this.callable.list(tenant, {
      baseDigest: base.digest,
      after: after === base.name ? undefined : after,
      ...(limit === undefined ? {} : { limit: limit + 1 }),
    });
    const rest = adapters.filter(({ name }) => name !== base.name).map((each) => adapterModel(each, base));
    const data = fresh ? [this.#baseModel(base), ...rest] : rest;
    if (limit === undefined) return { object: 'list', data };
    const page = data.slice(0, limit);
    return { object: 'list', data: page, has_more: data.length > limit, last_id: page.at(-1)?.id ?? null };
  }

  /** One name as it may stand in `model`, also with a version or alias; throws model_not_found. */
  async get(tenant: Tenant, id: string): Promise<Model> {
    const base = await this.fleet.base();
    if (id === base.name) return this.#baseModel(base);
    const version = await this.resolver.resolve(tenant.id, { model: id, base });
    const owner = id.includes('/') ? id.slice(0, id.indexOf('/')) : tenant.name;
    return adapterModel({ name: id, owner, createdAt: version.adapterCreatedAt }, base);
  }

  #baseModel(base: BaseModel): Model {
    return {
      id: base.name,
      object: 'model',
      created: unixSeconds(this.#started),
      owned_by: BASE_OWNER,
      root: base.name,
      parent: null,
      max_model_len: base.maxContext,
    };
  }
}

function adapterModel({ name, owner, createdAt }: CallableModel, base: BaseModel): Model {
  return {
    id: name,
    object: 'model',
    created: unixSeconds(createdAt),
    owned_by: owner,
    root: base.name,
    parent: base.name,
    max_model_len: base.maxContext,
  };
}

function unixSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
