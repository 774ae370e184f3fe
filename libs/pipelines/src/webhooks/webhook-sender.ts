import type { Readable } from 'node:stream';
import { OutboundError } from '#runtime/outbound/outbound-error.js';
import type { OutboundHttp } from '#runtime/outbound/outbound-http.js';
import type { SignatureHeaders } from '../signatures.js';

const EXCERPT_BYTES = 1024;
/** Of an answer's body no more is ever announced as acceptable; only its start is read. */
const ANSWER_LIMIT_BYTES = 64 * 2 ** 20;

export interface WebhookPost {
  readonly url: string;
  readonly headers: SignatureHeaders;
  readonly body: string;
  readonly timeout_ms: number;
  readonly signal: AbortSignal;
}

/** What came of one attempt. */
export interface SendOutcome {
  /** Undefined: no answer came. */
  readonly status: number | undefined;
  readonly ok: boolean;
  readonly error: string | null;
  readonly excerpt: string | null;
  readonly retryAfter_s: number | undefined;
  readonly duration_ms: number;
}

/** Posts a webhook to a URL that a tenant chose; follows no redirect. Throws only when `signal` aborts. */
export async function sendWebhook(http: OutboundHttp, post: WebhookPost): Promise<SendOutcome> {
  const began_ms = performance.now();
  const timeout = AbortSignal.timeout(post.timeout_ms);
  const signal = AbortSignal.any([post.signal, timeout]);
  const outcome = await attempt(http, post, signal).catch((error: unknown) => {
    post.signal.throwIfAborted();
    return failure(timeout.aborted ? `no answer within ${post.timeout_ms / 1000} s` : textOf(error));
  });
  return { ...outcome, duration_ms: Math.round(performance.now() - began_ms) };
}

type Outcome = Omit<SendOutcome, 'duration_ms'>;

async function attempt(http: OutboundHttp, post: WebhookPost, signal: AbortSignal): Promise<Outcome> {
  const answer = await http.fetch(post.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...post.headers },
    body: post.body,
    limitBytes: ANSWER_LIMIT_BYTES,
    maxRedirects: 0,
    signal,
  });
  const ok = answer.status >= 200 && answer.status < 300;
  const retryAfter_s = Number(answer.headers['retry-after']);
  return {
    status: answer.status,
    ok,
    error: ok ? null : `answered ${answer.status}`,
    excerpt: await startOf(answer.body),
    retryAfter_s: Number.isFinite(retryAfter_s) && retryAfter_s > 0 ? retryAfter_s : undefined,
  };
}

function failure(error: string): Outcome {
  return { status: undefined, ok: false, error, excerpt: null, retryAfter_s: undefined };
}

function textOf(error: unknown): string {
  if (error instanceof OutboundError) return error.message;
  return error instanceof Error ? error.message : String(error);
}

/** The start of a body; the status stands, whatever becomes of the rest. */
async function startOf(body: Readable): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= EXCERPT_BYTES) break;
    }
  } catch {
    // A body that breaks off changes nothing.
  } finally {
    body.destroy();
  }
  if (bytes === 0) return null;
  // PostgreSQL's text holds no NUL.
  return Buffer.concat(chunks).subarray(0, EXCERPT_BYTES).toString('utf8').replaceAll('\0', '\uFFFD');
}
