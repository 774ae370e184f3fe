import type { ArmedGuard } from '#contracts/alias-trials.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { WantedFormats } from '#contracts/chat-formats.js';
import { FORMAT_LABELS, type Labels } from '#contracts/resource.js';
import { AppError } from '#runtime/app-error.js';
import { type EntityManager, In } from 'typeorm';
import { Adapter } from './adapter.entity.js';
import { AdapterVersion } from './adapter-version.entity.js';
import { Alias } from '../aliases/alias.entity.js';
import { LATEST, PRODUCTION } from '../aliases/alias-routes.js';
import type { VersionBase } from '../revalidation/version-base.entity.js';
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
  /** Of what answers on the base that is served. */
  readonly digest: string;
  /** How it writes its answers, where its labels say so. */
  readonly formats: SaidFormats;
}

export type SaidFormats = Pick<WantedFormats, 'toolFormat' | 'reasoningFormat'>;

/** A version that was ready on some base, and does not answer on the one that is served. */
interface SilentVersion {
  readonly version: number;
  /** Why, as the end of a sentence about it. */
  readonly silent: string;
  /** What else its owner may know. */
  readonly toOwner: string;
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
  readonly routes: readonly { readonly weight: number; readonly version: ServedVersion | SilentVersion }[];
}

/** The base model that is served. */
type ServedBase = Pick<BaseModel, 'name' | 'digest'>;

export interface AskedBase extends ServedBase {
  /** Ask also versions that a move holds back on it. */
  readonly heldToo?: boolean;
}

/** Undefined: no such adapter, version or alias. Throws version_not_ready. */
export async function loadTarget(
  manager: EntityManager,
  { ownerId, base }: { readonly ownerId: string; readonly base: AskedBase },
  { adapter: name, selector }: ModelReference,
): Promise<Target | undefined> {
  const adapter = await manager.findOne(Adapter, { where: { tenantId: ownerId, name } });
  if (!adapter) return undefined;
  if (selector.kind === 'version') {
    const [version] = await readVersions(manager, adapter, [selector.version]);
    if (!version) return undefined;
    const of = await judgements(manager, base, [version]);
    return { alias: undefined, routes: [{ weight: 1, version: served(adapter, version, of) }] };
  }
  const names = selector.kind === 'alias' ? [selector.alias] : [PRODUCTION, LATEST];
  const where = { tenantId: ownerId, adapterId: adapter.id, name: In(names) };
  const aliases = await manager.find(Alias, { where });
  const alias = names
    .map((each) => aliases.find((row) => row.name === each))
    .find((row) => row !== undefined);
  if (alias) return targetOf(manager, base, adapter, alias);
  if (selector.kind === 'alias' && selector.alias !== LATEST) return undefined;
  throw notReady(`The adapter ${name} has no version that is ready.`);
}

async function targetOf(
  manager: EntityManager,
  base: AskedBase,
  adapter: Adapter,
  alias: Alias,
): Promise<Target> {
  const { name, revision, guard } = alias;
  const numbers = alias.routes.map(({ version }) => version);
  const rows = await readVersions(
    manager,
    adapter,
    alias.shadow ? [...numbers, alias.shadow.version] : numbers,
  );
  const of = await judgements(manager, base, rows);
  const routes = alias.routes.flatMap(({ version: number, weight }) => {
    const row = rows.find((candidate) => candidate.number === number);
    return row ? [{ weight, version: served(adapter, row, of) }] : [];
  });
  // Routes and versions were read one after the other; a deletion may have come in between.
  if (routes.length === 0) throw notReady(`${adapter.name}:${name} is being changed; try again.`);
  return { alias: { name, revision, guard, shadow: servedShadow(adapter, alias, { rows, of }) }, routes };
}

function servedShadow(
  adapter: Adapter,
  { shadow }: Alias,
  { rows, of }: { readonly rows: readonly AdapterVersion[]; readonly of: Judgements },
): ServedShadow | undefined {
  const row = shadow && rows.find(({ number }) => number === shadow.version);
  const version = row && served(adapter, row, of);
  return shadow && version && !('silent' in version) ? { version, share: shadow.share } : undefined;
}

const SERVED_COLUMNS = {
  id: true,
  number: true,
  state: true,
  digest: true,
  baseModel: true,
  baseDigest: true,
  labels: true,
} as const;

function readVersions(
  manager: EntityManager,
  { id: adapterId, tenantId }: Adapter,
  numbers: readonly number[],
): Promise<AdapterVersion[]> {
  const where = { tenantId, adapterId, number: In(numbers) };
  return manager.find(AdapterVersion, { where, select: SERVED_COLUMNS });
}

interface Judgements {
  readonly base: AskedBase;
  /** What became of versions of other bases on this one, by their ids. */
  readonly later: ReadonlyMap<string, LaterBase>;
}

interface LaterBase extends Pick<VersionBase, 'versionId' | 'state' | 'digest' | 'failure' | 'held'> {
  /** Why it was rejected: the report's first error. */
  readonly reason: string | null;
}

async function judgements(
  manager: EntityManager,
  base: AskedBase,
  versions: readonly AdapterVersion[],
): Promise<Judgements> {
  const others = versions.filter(({ baseDigest }) => baseDigest !== base.digest).map(({ id }) => id);
  if (others.length === 0) return { base, later: new Map() };
  const rows = await manager.query<LaterBase[]>(
    `SELECT version_id AS "versionId", state, digest, failure, held, report->'errors'->0->>'message' AS reason
     FROM version_bases WHERE version_id = ANY($1) AND base_digest = $2`,
    [others, base.digest],
  );
  return { base, later: new Map(rows.map((row) => [row.versionId, row])) };
}

function served(
  adapter: Adapter,
  version: AdapterVersion,
  { base, later }: Judgements,
): ServedVersion | SilentVersion {
  const { id, number, state } = version;
  if (state !== 'ready') throw notReady(`Version ${number} of ${adapter.name} is ${state}.`);
  const judged = later.get(id);
  const digest = version.baseDigest === base.digest ? version.digest : laterDigest(base, judged);
  if (digest === null) return { version: number, ...silence(version, base, judged) };
  return {
    versionId: id,
    adapterId: adapter.id,
    ownerTenant: adapter.tenantId,
    adapter: adapter.name,
    adapterCreatedAt: adapter.createdAt,
    version: number,
    digest,
    formats: formatsOf(version.labels),
  };
}

function laterDigest({ heldToo = false }: AskedBase, judged: LaterBase | undefined): string | null {
  return judged && (judged.held === null || heldToo) ? judged.digest : null;
}

/** Labels of a kind that was not known when they were set say nothing. */
function formatsOf({ tool_parser, reasoning_parser }: Labels): SaidFormats {
  const tools = FORMAT_LABELS.tool_parser.safeParse(tool_parser);
  const reasoning = FORMAT_LABELS.reasoning_parser.safeParse(reasoning_parser);
  return {
    ...(tools.success ? { toolFormat: tools.data } : {}),
    ...(reasoning.success ? { reasoningFormat: reasoning.data } : {}),
  };
}

/** Why a version does not answer on the base. */
function silence(
  { baseModel }: AdapterVersion,
  base: ServedBase,
  judged: LaterBase | undefined,
): Pick<SilentVersion, 'silent' | 'toOwner'> {
  const start = `does not answer on the base model "${base.name}" that is served now`;
  if (judged?.state === 'rejected') {
    const reason = judged.reason ?? judged.failure ?? 'see its report.';
    return { silent: `${start}: it was rejected for this base.`, toOwner: ` ${reason}` };
  }
  if (judged?.state === 'ready')
    return {
      silent: `${start}: it was accepted for this base, and is held back.`,
      toOwner: ` ${judged.held ?? ''}`,
    };
  if (judged) return { silent: `${start} yet: its validation against this base waits or runs.`, toOwner: '' };
  return {
    silent: `${start}: it was validated for another one.`,
    toOwner:
      `${baseModel === null ? '' : ` That was "${baseModel}".`} POST /v1/revalidations ` +
      '(`lorikeet revalidate`) validates it against this one.',
  };
}

export function notReady(message: string): AppError {
  return new AppError('version_not_ready', { message, param: 'model' });
}
