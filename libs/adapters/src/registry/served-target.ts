import type { ArmedGuard } from '#contracts/alias-trials.js';
import { AppError } from '#runtime/app-error.js';
import { type EntityManager, In } from 'typeorm';
import { Adapter } from './adapter.entity.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { Alias } from '../aliases/alias.entity.js';
import { LATEST, PRODUCTION } from '../aliases/alias-routes.js';
import type { ModelReference } from './model-reference.js';

/** The alias by which a request came to its version. */
export interface ServedAlias {
  readonly name: string;
  readonly revision: number;
  readonly guard: ArmedGuard | null;
  readonly shadow: ServedShadow | undefined;
}

/** A candidate that gets a copy of a share of the requests. */
export interface ServedShadow {
  readonly version: ServedVersion;
  readonly share: number;
}

/** One version that can be called. */
export interface ServedVersion {
  readonly versionId: string;
  readonly adapterId: string;
  readonly ownerTenant: string;
  /** The adapter's name. */
  readonly adapter: string;
  readonly adapterCreatedAt: Date;
  readonly version: number;
  readonly digest: string;
  readonly baseDigest: string;
}

export interface ResolvedVersion extends ServedVersion {
  /** Absent: the request named the version itself. */
  readonly alias: ServedAlias | undefined;
  /** The adapter as its caller names it: `adapter`, or `owner/adapter` where it is another tenant's. */
  readonly callName: string;
}

/** Where a reference leads: one version, or several with weights. */
export interface Target {
  readonly alias: ServedAlias | undefined;
  readonly routes: readonly { readonly weight: number; readonly version: ServedVersion }[];
}

/** Undefined: no such adapter, version or alias. Throws version_not_ready. */
export async function loadTarget(
  manager: EntityManager,
  ownerId: string,
  { adapter: name, selector }: ModelReference,
): Promise<Target | undefined> {
  const adapter = await manager.findOne(Adapter, { where: { tenantId: ownerId, name } });
  if (!adapter) return undefined;
  if (selector.kind === 'version') {
    const [version] = await readVersions(manager, adapter, [selector.version]);
    return version && { alias: undefined, routes: [{ weight: 1, version: served(adapter, version) }] };
  }
  const names = selector.kind === 'alias' ? [selector.alias] : [PRODUCTION, LATEST];
  const where = { tenantId: ownerId, adapterId: adapter.id, name: In(names) };
  const aliases = await manager.find(Alias, { where });
  const alias = names
    .map((each) => aliases.find((row) => row.name === each))
    .find((row) => row !== undefined);
  if (alias) return targetOf(manager, adapter, alias);
  if (selector.kind === 'alias' && selector.alias !== LATEST) return undefined;
  throw notReady(`The adapter ${name} has no version that is ready.`);
}

async function targetOf(manager: EntityManager, adapter: Adapter, alias: Alias): Promise<Target> {
  const { name, revision, guard } = alias;
  const numbers = alias.routes.map(({ version }) => version);
  const rows = await readVersions(
    manager,
    adapter,
    alias.shadow ? [...numbers, alias.shadow.version] : numbers,
  );
  const routes = alias.routes.flatMap(({ version: number, weight }) => {
    const row = rows.find((candidate) => candidate.number === number);
    return row ? [{ weight, version: served(adapter, row) }] : [];
  });
  // Routes and versions were read one after the other; a deletion may have come in between.
  if (routes.length === 0) throw notReady(`${adapter.name}:${name} is being changed; try again.`);
  return { alias: { name, revision, guard, shadow: servedShadow(adapter, alias, rows) }, routes };
}

function servedShadow(
  adapter: Adapter,
  { shadow }: Alias,
  rows: readonly AdapterVersion[],
): ServedShadow | undefined {
  const row = shadow && rows.find(({ number }) => number === shadow.version);
  return shadow && row ? { version: served(adapter, row), share: shadow.share } : undefined;
}

const SERVED_COLUMNS = { id: true, number: true, state: true, digest: true, baseDigest: true } as const;

function readVersions(
  manager: EntityManager,
  { id: adapterId, tenantId }: Adapter,
  numbers: readonly number[],
): Promise<AdapterVersion[]> {
  const where = { tenantId, adapterId, number: In(numbers) };
  return manager.find(AdapterVersion, { where, select: SERVED_COLUMNS });
}

function served(adapter: Adapter, version: AdapterVersion): ServedVersion {
  const { id, number, state, digest, baseDigest } = version;
  if (state !== 'ready' || digest === null || baseDigest === null) {
    throw notReady(`Version ${number} of ${adapter.name} is ${state}.`);
  }
  return {
    versionId: id,
    adapterId: adapter.id,
    ownerTenant: adapter.tenantId,
    adapter: adapter.name,
    adapterCreatedAt: adapter.createdAt,
    version: number,
    digest,
    baseDigest,
  };
}

function notReady(message: string): AppError {
  return new AppError('version_not_ready', { message, param: 'model' });
}
