import { text } from 'node:stream/consumers';
import { z } from 'zod';
import type { OutboundHttp } from '#runtime/outbound/outbound-http.js';
import { asStorable } from '#contracts/storable.js';
import {
  CONFIG_FILE,
  FILE_NAMES,
  MAX_LEFT_OUT,
  MLX_WEIGHTS_FILE,
  WEIGHTS_FILE,
} from '../intake/upload-parts.js';
import { IS_PICKLE } from '../peft/file-kinds.js';
import { openHttpFile } from './http-file.js';
import type { HubSource } from './hub-source.js';
import { final, ImportError } from './import-error.js';
import type { ImportOrigin, OriginFile, OriginLimits } from './import-origin.js';
import { isRetryableStatus, parseRetryAfter } from './retry-rule.js';

const LISTING_LIMIT_BYTES = 16 * 2 ** 20;
const COMMIT = /^[0-9a-f]{40}$/;

export interface Hub {
  readonly http: OutboundHttp;
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
}

/** What we read of `/api/models/{repo}/revision/{revision}?blobs=true`. */
const ListingSchema = z.object({
  sha: z.string().regex(COMMIT),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.number().int().nonnegative().nullish(),
      lfs: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }).nullish(),
    }),
  ),
});
type Listing = z.infer<typeof ListingSchema>;

/** A repository of the Hub at the commit that its revision stands for; the Hub tells sizes and hashes beforehand. */
export async function hubOrigin(
  source: HubSource,
  hub: Hub,
  limits: OriginLimits,
  signal: AbortSignal,
): Promise<ImportOrigin> {
  const listing = await readListing(source, hub, signal);
  const pinned = { ...source, revision: listing.sha };
  return {
    pinned,
    files: filesOf(pinned, listing, { hub, limits }),
    leftOut: otherFiles(source.folder, listing),
  };
}

/** What lies in the same folder and is no part of an adapter. */
function otherFiles(folder: string, { siblings }: Listing): string[] {
  const prefix = folder === '' ? '' : `${folder}/`;
  return siblings
    .filter(({ rfilename }) => rfilename.startsWith(prefix))
    .map(({ rfilename }) => rfilename.slice(prefix.length))
    .filter((name) => !name.includes('/') && !name.startsWith('.') && !FILE_NAMES.includes(name))
    .slice(0, MAX_LEFT_OUT)
    .map((name) => asStorable(name.slice(0, 255)));
}

function filesOf(
  { repo, revision, folder }: HubSource,
  { siblings }: Listing,
  { hub, limits }: { hub: Hub; limits: OriginLimits },
): OriginFile[] {
  const path = (name: string): string => (folder === '' ? name : `${folder}/${name}`);
  const known = new Map(siblings.map((sibling) => [sibling.rfilename, sibling]));
  const isMlx = known.has(path(MLX_WEIGHTS_FILE)) && !known.has(path(WEIGHTS_FILE));
  const weights = isMlx ? MLX_WEIGHTS_FILE : WEIGHTS_FILE;
  const missing = [CONFIG_FILE, weights].filter((name) => !known.has(path(name)));
  if (missing.length > 0) {
    const pickle = known.has(path('adapter_model.bin')) ? ` Its adapter_model.bin ${IS_PICKLE}` : '';
    throw final(`hf://${repo}@${revision} has no ${missing.map(path).join(' and no ')}.${pickle}`);
  }
  return FILE_NAMES.filter((name) => known.has(path(name))).map((name) => {
    const sibling = known.get(path(name));
    const url = `${hub.endpoint}/${repo}/resolve/${revision}/${path(name).split('/').map(encodeURIComponent).join('/')}`;
    const file = { http: hub.http, url, headers: credentials(hub), limitBytes: limits.bytesOf(name) };
    return {
      name,
      bytes: sibling?.size ?? undefined,
      sha256: sibling?.lfs?.sha256,
      open: (at, signal) => openHttpFile(file, at, signal),
    };
  });
}

async function readListing({ repo, revision }: HubSource, hub: Hub, signal: AbortSignal): Promise<Listing> {
  const url = `${hub.endpoint}/api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const answer = await hub.http.fetch(url, {
    headers: credentials(hub),
    limitBytes: LISTING_LIMIT_BYTES,
    signal,
  });
  if (answer.status !== 200) {
    answer.body.destroy();
    throw refused(`hf://${repo}@${revision}`, answer.status, answer.headers['retry-after']);
  }
  const listing = ListingSchema.safeParse(parseJson(await text(answer.body)));
  if (!listing.success) throw final('The Hub answered with what is no listing of a repository.');
  return listing.data;
}

function refused(name: string, status: number, retryAfter: string | undefined): ImportError {
  if ([401, 403, 404].includes(status)) {
    return final(`${name} does not exist, or this server may not read it (the Hub answered ${status}).`);
  }
  return new ImportError(`The Hub answered ${status} for ${name}.`, {
    retryable: isRetryableStatus(status),
    retryAfter_ms: parseRetryAfter(retryAfter, Date.now()),
  });
}

function credentials({ token }: Hub): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
