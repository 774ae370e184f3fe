import type { OutboundHttp, OutboundResponse } from '#runtime/outbound/outbound-http.js';
import { final, ImportError } from './import-error.js';
import type { OpenedFile, Resumption } from './import-origin.js';
import { isRetryableStatus, parseRetryAfter } from './retry-rule.js';

export interface HttpFile {
  readonly http: OutboundHttp;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly limitBytes: number;
}

const NOT_THERE: ReadonlySet<number> = new Set([404, 410]);

/** A file behind a URL, from an offset on when the server agrees that it is still the same file. */
export async function openHttpFile(
  file: HttpFile,
  { offset, validator }: Resumption,
  signal: AbortSignal,
): Promise<OpenedFile | undefined> {
  const resumes = offset > 0 && validator !== undefined;
  const range = resumes ? { range: `bytes=${offset}-`, 'if-range': validator } : {};
  const answer = await file.http.fetch(file.url, {
    headers: { ...file.headers, ...range },
    limitBytes: resumes ? Math.max(0, file.limitBytes - offset) : file.limitBytes,
    signal,
  });
  const encoding = answer.headers['content-encoding'] ?? 'identity';
  if (answer.status === 200 && encoding === 'identity') return whole(answer);
  if (answer.status === 206 && encoding === 'identity' && resumes) {
    const total = rangeTotal(answer, offset);
    if (total !== undefined) return { offset, totalBytes: total, validator, body: answer.body };
  }
  answer.body.destroy();
  if (NOT_THERE.has(answer.status)) return undefined;
  // A range that the server no longer has, or did not understand: from the beginning then.
  if (resumes && (answer.status === 416 || answer.status === 206)) {
    return openHttpFile(file, { offset: 0, validator: undefined }, signal);
  }
  throw refused(file.url, answer, encoding);
}

function whole({ headers, body }: OutboundResponse): OpenedFile {
  const length = headers['content-length'];
  return {
    offset: 0,
    totalBytes: length === undefined ? undefined : Number(length),
    validator: strongEtag(headers.etag),
    body,
  };
}

/** A weak ETag names bytes that are as good, not the same. */
function strongEtag(etag: string | undefined): string | undefined {
  return etag !== undefined && /^"[\x21\x23-\x7e]{1,200}"$/.test(etag) ? etag : undefined;
}

/** The file's length when the answer begins where it was asked to and goes to the end. */
function rangeTotal({ headers }: OutboundResponse, offset: number): number | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers['content-range'] ?? '');
  if (!match) return undefined;
  const [begin, last, total] = match.slice(1).map(Number) as [number, number, number];
  return begin === offset && last === total - 1 ? total : undefined;
}

function refused(url: string, { status, headers }: OutboundResponse, encoding: string): ImportError {
  const { host, pathname } = new URL(url);
  if (status === 200 || status === 206) {
    return final(`${host}${pathname} came in the content encoding ${encoding}, though none was asked for.`);
  }
  const message = `${host}${pathname} answered ${status}.`;
  if (!isRetryableStatus(status)) return final(message);
  const retryAfter_ms = parseRetryAfter(headers['retry-after'], Date.now());
  return new ImportError(message, { retryable: true, retryAfter_ms });
}
