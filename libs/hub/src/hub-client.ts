import { HubError } from './hub-error.js';
import type { HubReference } from './hub-reference.js';

export interface HubAccess {
  /** Where the Hub's protocol is spoken, e.g. `https://huggingface.co`. */
  readonly endpoint: string;
  readonly token?: string | undefined;
}

export interface HubFile {
  /** Below the repository's root. */
  readonly path: string;
  readonly bytes: number;
  /** Of its content, where it lies in the Hub's storage for large files. */
  readonly sha256: string | undefined;
  /** git's name of its content, where it lies in the repository itself. */
  readonly blobId: string | undefined;
}

export interface HubListing {
  /** What the revision stands for now. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

const LISTING_LIMIT_BYTES = 64 * 2 ** 20;
const HEADERS_MS = 30_000;
const RETRYABLE: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** The files of a repository at a revision. Throws HubError. */
export async function listFiles(
  { repo, revision }: HubReference,
  access: HubAccess,
  signal: AbortSignal,
): Promise<HubListing> {
  const path = `/api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const response = await ask(access, path, { headers: {}, signal });
  const name = `hf://${repo}@${revision}`;
  if (!response.ok) throw await refusal(name, response);
  const text = await textWithin(response, LISTING_LIMIT_BYTES);
  const listing = parseListing(text);
  if (!listing) throw new HubError(`The Hub answered with what is no listing of ${name}.`);
  return listing;
}

/** A file's bytes from an offset on; `whole`: the Hub sends them from the first byte, whatever was asked. Throws HubError. */
export async function openFile(
  { repo, commit, path, offset }: { repo: string; commit: string; path: string; offset: number },
  access: HubAccess,
  signal: AbortSignal,
): Promise<{ readonly whole: boolean; readonly body: AsyncIterable<Uint8Array> }> {
  const url = `/${repo}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
  const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
  const response = await ask(access, url, { headers, signal });
  const continues = response.status === 206 && beginsAt(response, offset);
  if (!continues && (response.status !== 200 || !response.body)) {
    if (offset > 0 && (response.status === 416 || response.status === 206)) {
      await response.body?.cancel();
      return openFile({ repo, commit, path, offset: 0 }, access, signal);
    }
    throw await refusal(`${path} of hf://${repo}`, response);
  }
  return { whole: !continues, body: response.body as unknown as AsyncIterable<Uint8Array> };
}

function beginsAt(response: Response, offset: number): boolean {
  return response.headers.get('content-range')?.startsWith(`bytes ${offset}-`) ?? false;
}

/** Redirects are followed; the token stays behind where one leads to another host, as fetch has it. */
async function ask(
  { endpoint, token }: HubAccess,
  path: string,
  { headers, signal }: { headers: Record<string, string>; signal: AbortSignal },
): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), HEADERS_MS);
  try {
    return await fetch(`${endpoint.replace(/\/+$/, '')}${path}`, {
      headers: {
        'accept-encoding': 'identity',
        'user-agent': 'lorikeet',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      signal: AbortSignal.any([signal, late.signal]),
    });
  } catch (cause) {
    signal.throwIfAborted();
    const reason = late.signal.aborted ? `no answer within ${HEADERS_MS / 1000} seconds` : reasonOf(cause);
    throw new HubError(`${endpoint} cannot be reached: ${reason}`, { retryable: true, cause });
  } finally {
    clearTimeout(timer);
  }
}

/** What fetch wraps tells more than fetch itself. */
export function reasonOf(error: unknown): string {
  const cause = (error as { cause?: unknown }).cause ?? error;
  const { code, message } = cause as { code?: string; message?: string };
  return message || code || 'the connection broke';
}

const WORDS: Readonly<Record<string, string>> = {
  RevisionNotFound: 'has no such revision',
  RepoNotFound: 'does not exist, or may not be read with this token (HF_TOKEN)',
  GatedRepo: 'is gated: ask for access on its page, and give the token of that account (HF_TOKEN)',
  EntryNotFound: 'does not exist',
};

async function refusal(name: string, response: Response): Promise<HubError> {
  const { status, headers } = response;
  await response.body?.cancel();
  const known = WORDS[headers.get('x-error-code') ?? ''];
  if (known) return new HubError(`${name} ${known} (the Hub answered ${status}).`);
  if ([401, 403, 404].includes(status)) {
    return new HubError(
      `${name} does not exist, or may not be read with this token (the Hub answered ${status}).`,
    );
  }
  return new HubError(`The Hub answered ${status} for ${name}.`, {
    retryable: RETRYABLE.has(status),
    retryAfter_ms: retryAfter(headers.get('retry-after')),
  });
}

function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d{1,6}$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

async function textWithin(response: Response, limitBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw new HubError("The Hub's listing is too large.");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Undefined: it is none. */
function parseListing(text: string): HubListing | undefined {
  const { sha, siblings } = (objectOf(text) ?? {}) as { sha?: unknown; siblings?: unknown };
  if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha) || !Array.isArray(siblings)) return undefined;
  const files: HubFile[] = [];
  for (const each of siblings as Record<string, unknown>[]) {
    const { rfilename, size, lfs, blobId } = each ?? {};
    const sha256 = (lfs as { sha256?: unknown } | null | undefined)?.sha256;
    if (typeof rfilename !== 'string' || !Number.isSafeInteger(size) || (size as number) < 0)
      return undefined;
    files.push({
      path: rfilename,
      bytes: size as number,
      sha256: typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256) ? sha256 : undefined,
      blobId: typeof blobId === 'string' && /^[0-9a-f]{40}$/.test(blobId) ? blobId : undefined,
    });
  }
  return { commit: sha, files };
}

function objectOf(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
