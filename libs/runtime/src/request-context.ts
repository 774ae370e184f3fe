import { AsyncLocalStorage } from 'node:async_hooks';
import type { Actor } from '#contracts/audit-api.js';
import type { TraceSpan } from './tracing/trace-span.js';

/** What is known of the request that this code runs for, however deep it stands. */
export interface RequestContext {
  /** Undefined: no HTTP request, e.g. a job. */
  readonly requestId: string | undefined;
  readonly address: string | undefined;
  /** What the request is in a trace; absent where it is not traced. */
  readonly span?: TraceSpan | undefined;
  /** Undefined until a guard knows who calls. */
  actor: Actor | undefined;
  /** The tenant for which the request is made, once a guard knows. */
  tenantId?: string;
  /** What an inference request took, once it has ended. */
  spent?: Spent;
  /** Set while a request with an Idempotency-Key runs. */
  idempotency?: IdempotentRun;
}

/** The one run of a request with an Idempotency-Key that may change something. */
export interface IdempotentRun {
  /** Of the row that stands for the key. */
  readonly id: string;
  /** Of this run alone: whoever took the key over has another. */
  readonly holder: string;
  /** What the request asks for; of a streamed body it is known once all of it has come. */
  readonly fingerprint: Promise<string>;
}

/** Tokens and time of one inference request. */
export interface Spent {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Undefined: no token came. */
  readonly ttft_ms: number | undefined;
}

const contexts = new AsyncLocalStorage<RequestContext>();

/** Runs `work`, and all that it starts, for this request. */
export function inRequest<T>(request: StartedRequest, work: () => T): T {
  return contexts.run({ ...request, actor: undefined }, work);
}

type StartedRequest = { readonly requestId: string; readonly address: string } & Pick<RequestContext, 'span'>;

/** Runs `work` in the name of an actor other than the caller: a job, or a webhook whose signature was checked. */
export function actAs<T>(actor: Actor, work: () => T): T {
  const { requestId, address, span } = contexts.getStore() ?? {};
  return contexts.run({ requestId, address, span, actor }, work);
}

/** Runs `work` as the part of a trace that the span is, outside of any request. */
export function inSpan<T>(span: TraceSpan, work: () => T): T {
  return contexts.run({ requestId: undefined, address: undefined, actor: undefined, span }, work);
}

/** Undefined outside of any request or job. */
export function currentRequest(): RequestContext | undefined {
  return contexts.getStore();
}

/** For whom this code runs, where things are shared fairly: a tenant, of callers not known yet their address. */
export function currentOwner(): string {
  const request = contexts.getStore();
  return request?.tenantId ?? request?.address ?? 'this process';
}

/** Tells who makes the current request, once a guard has found out. */
export function noteActor(actor: Actor): void {
  const context = contexts.getStore();
  if (context) context.actor = actor;
}

/** Tells for which tenant the current request is made. */
export function noteTenant(id: string): void {
  const context = contexts.getStore();
  if (context) context.tenantId = id;
}

/** Tells that what the current request changes is bound to its Idempotency-Key. */
export function noteIdempotency(run: IdempotentRun): void {
  const context = contexts.getStore();
  if (context) context.idempotency = run;
}

/** Tells what the current request took, for the access log. */
export function noteSpent(spent: Spent): void {
  const context = contexts.getStore();
  if (context) context.spent = spent;
}
