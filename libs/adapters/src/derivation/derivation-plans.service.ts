import { randomInt } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type Derivation, type Derive, DRAWING, ELECTING } from '#contracts/derivations-api.js';
import type { VersionParent } from '#contracts/lineage-api.js';
import { AppError } from '#runtime/app-error.js';
import type { ImportSource } from '../imports/import-source.js';
import { findParents } from '../registry/version-parents.js';
import { AdapterVersion } from '../registry/adapter-version.entity.js';
import { VersionBase } from '../revalidation/version-base.entity.js';
import { DataSource } from 'typeorm';
import type { DerivationInput, Recipe } from './recipe.js';

/** A version that is about to be made from others. */
export interface DerivationPlan {
  readonly source: ImportSource & { readonly kind: 'derived' };
  readonly derivation: Derivation;
  readonly parents: readonly VersionParent[];
}

interface Ready {
  readonly row: AdapterVersion;
  readonly name: string;
  readonly weight: number;
  /** Its digest on each base on which it is ready. */
  readonly digests: ReadonlyMap<string, string>;
}

/** Finds what a version is to be made from, and settles what was left open. */
@Injectable()
export class DerivationPlans {
  constructor(private readonly database: DataSource) {}

  /** Throws invalid_request for versions that are not there or not ready, or have no base in common. */
  async make(tenantId: string, order: Derive): Promise<DerivationPlan> {
    const wanted =
      order.operation === 'compose'
        ? order.inputs.map(({ version, weight }, at) => ({ version, weight, field: `inputs[${at}].version` }))
        : [{ version: order.version, weight: 1, field: 'version' }];
    const found: Ready[] = [];
    const parents: VersionParent[] = [];
    for (const { version, weight, field } of wanted) {
      const param = `derive.${field}`;
      const [parent] = await findParents(this.database.manager, tenantId, [version]).catch(() => []);
      if (!parent?.id || !parent.version) throw refused(param, `there is no version ${version}`);
      if (parents.some(({ id }) => id === parent.id)) throw refused(param, `names ${parent.version} again`);
      found.push(await this.#ready(tenantId, { parent, weight, param }));
      parents.push(parent);
    }
    const base = commonBase(found);
    const inputs = found.map((each) => inputOn(each, base));
    const recipe = recipeOf(order);
    checkRanks(order, found);
    return { source: { kind: 'derived', recipe, inputs }, derivation: derivationOf(recipe, inputs), parents };
  }

  async #ready(
    tenantId: string,
    { parent, weight, param }: { parent: VersionParent; weight: number; param: string },
  ): Promise<Ready> {
    const { manager } = this.database;
    const row = await manager.findOneByOrFail(AdapterVersion, { id: parent.id ?? '', tenantId });
    const later = await manager.findBy(VersionBase, { versionId: row.id, tenantId, state: 'ready' });
    const name = parent.version ?? row.id;
    const digests = new Map(
      later.flatMap(({ baseDigest, digest }) => (digest === null ? [] : [[baseDigest, digest] as const])),
    );
    if (row.state === 'ready' && row.baseDigest !== null && row.digest !== null)
      digests.set(row.baseDigest, row.digest);
    if (digests.size === 0) throw refused(param, `${name} is ${row.state}, not ready`);
    return { row, name, weight, digests };
  }
}

function refused(param: string, message: string): AppError {
  return new AppError('invalid_request', { message: `${param}: ${message}.`, param });
}

/** The newest base of the first on which all others are ready too. */
function commonBase(versions: readonly Ready[]): string {
  const base = [...(versions[0]?.digests.keys() ?? [])].find((each) =>
    versions.every(({ digests }) => digests.has(each)),
  );
  if (base === undefined) {
    const names = versions.map(({ name }) => name).join(', ');
    throw refused('derive.inputs', `${names} are not ready on one and the same base model`);
  }
  return base;
}

function inputOn({ row, name, weight, digests }: Ready, base: string): DerivationInput {
  const digest = digests.get(base);
  if (digest === undefined) throw new Error('the base is one that all inputs have');
  return { id: row.id, name, digest, weight };
}

/** What can be told before any file is read: PEFT sums up factors only of one and the same rank. */
function checkRanks(order: Derive, versions: readonly Ready[]): void {
  if (order.operation !== 'compose' || order.method === 'cat' || order.method === 'svd') return;
  const [first] = versions;
  const other = versions.find(({ row }) => row.rank !== first?.row.rank);
  if (!first || !other) return;
  throw refused(
    'derive.method',
    `${order.method} needs the same rank in all adapters; ${first.name} has ${first.row.rank} and ${other.name} ` +
      `${other.row.rank}. cat and svd take different ranks`,
  );
}

function recipeOf(order: Derive): Recipe {
  if (order.operation !== 'compose') {
    const { version: _, ...recipe } = order;
    return recipe;
  }
  const { inputs: _, method, ...rest } = order;
  return {
    ...rest,
    method,
    ...(ELECTING.includes(method) && { majority_sign: order.majority_sign ?? ('total' as const) }),
    ...(DRAWING.includes(method) && { seed: order.seed ?? randomInt(2 ** 32) }),
  };
}

function derivationOf(recipe: Recipe, inputs: readonly DerivationInput[]): Derivation {
  const { operation, ...parameters } = recipe;
  const given = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return {
    operation,
    inputs: inputs.map(({ id, name, digest, weight }) => ({
      id,
      version: name,
      digest,
      weight: operation === 'compose' ? weight : null,
    })),
    parameters: Object.fromEntries(given),
    result: null,
  };
}
