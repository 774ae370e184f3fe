import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ACCOUNTS_LOGGER } from '#accounts/settings.js';
import { SecretBox } from '#pipelines/secrets/secret-box.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { noteIdempotency } from '#runtime/request-context.js';
import type { IdempotencyKey } from '#stores/idempotency/idempotency-key.entity.js';
import { type Hold, IdempotencyKeys, type KeyName } from '#stores/idempotency/idempotency-keys.service.js';
import { RENEW_MS } from '#stores/idempotency/lease-times.js';
import { AnswerAllowance } from './answer-allowance.js';
import { type KeptAnswer, ReplayedAnswer } from './replayed-answer.js';
import { copyOf, formFingerprint, isStreamed, jsonFingerprint } from './request-fingerprint.js';

interface Run {
  readonly owner: string;
  readonly hold: Hold;
  readonly fingerprint: Promise<string>;
}

const MOST_KEPT_CHARACTERS = 2 ** 20;
const KEPT_HEADERS = ['content-type', 'location'];
/** Answers that say nothing of what was done: the same request may be tried again. */
const PASSING: ReadonlySet<number> = new Set([408, 429, 499]);
/** Their answers show a secret once, which stands nowhere else. */
const WITH_SECRET: ReadonlySet<string> = new Set([
  'api_key',
  'operator_key',
  'hook',
  'webhook_endpoint',
  'trainer',
  'sign_in_link',
]);

/** Runs each request with an Idempotency-Key once, and answers it again as it was answered the first time. */
@Injectable()
export class IdempotentRequests implements OnModuleDestroy {
  readonly #runs = new WeakMap<FastifyRequest, Run>();
  readonly #running = new Set<Hold>();
  readonly #allowance = new AnswerAllowance();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly keys: IdempotencyKeys,
    private readonly box: SecretBox,
    @Inject(ACCOUNTS_LOGGER) private readonly logger: Logger,
  ) {}

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  /** Returns when the request is to be handled; throws its answer where it was handled before. */
  async begin(request: FastifyRequest, name: KeyName, usualStatus: number): Promise<void> {
    const { body } = request;
    const early = isStreamed(request) ? null : jsonFingerprint(request);
    const claim = await this.keys.claim(name, early);
    if (claim.kind === 'known') {
      const { row, running } = claim;
      if (running && (early === null || row.fingerprint === null)) throw inFlight();
      const fingerprint = early ?? (await formFingerprint(request, request.raw));
      if (row.fingerprint !== fingerprint) throw otherRequest();
      if (running) throw inFlight();
      throw new ReplayedAnswer(await this.#answerOf(row, usualStatus));
    }
    const fingerprint = early === null ? formFingerprint(request, request.raw) : Promise.resolve(early);
    if (isStreamed(request)) request.body = copyOf(body as typeof request.raw);
    this.#runs.set(request, { owner: name.owner, hold: claim.hold, fingerprint });
    this.#follow(claim.hold);
    noteIdempotency({ ...claim.hold, fingerprint });
  }

  /** Call with each answer before it is sent. */
  async keep(request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<void> {
    const run = this.#runs.get(request);
    if (!run) return;
    try {
      await this.#end(run, reply, payload);
    } catch (err) {
      this.logger.warn({ err, requestId: request.id }, 'an answer could not be kept for its Idempotency-Key');
    } finally {
      this.#running.delete(run.hold);
    }
  }

  async #end({ owner, hold, fingerprint }: Run, reply: FastifyReply, payload: unknown): Promise<void> {
    const { statusCode: status } = reply;
    if (status >= 500 || PASSING.has(status)) return this.keys.leave(hold);
    const body = typeof payload === 'string' ? payload : '';
    const isKept = body.length <= MOST_KEPT_CHARACTERS && this.#allowance.spend(owner, body.length);
    const kept = { headers: headersOf(reply), body };
    const answer = isKept ? this.box.seal(JSON.stringify(kept), ownerOf(hold)) : null;
    await this.keys.end(hold, { fingerprint: await fingerprint, status, answer }, status >= 400);
  }

  async #answerOf(row: IdempotencyKey, usualStatus: number): Promise<KeptAnswer> {
    const { status, answer } = row;
    if (status === null) return this.#answerOfEffect(row, usualStatus);
    if (answer === null) throw lost('was too large to be kept, or too much was kept already');
    const kept = JSON.parse(this.box.open(answer, ownerOf(row))) as Omit<KeptAnswer, 'status'>;
    return { status, ...kept };
  }

  /** Of a run that was cut off after its change: the resource as the change left it, which the audit log has. */
  async #answerOfEffect(row: IdempotencyKey, status: number): Promise<KeptAnswer> {
    const effect = await this.keys.lastEffect(row);
    if (!effect) throw lost('was lost when the server stopped');
    const { action, subjectType, subjectId, after } = effect;
    const isResource = after !== null && 'object' in after && 'id' in after;
    if (!isResource || WITH_SECRET.has(subjectType))
      throw lost(`was lost when the server stopped, after ${action} of ${subjectType} ${subjectId} was done`);
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    return { status, headers, body: `${JSON.stringify(after)}\n` };
  }

  #follow(hold: Hold): void {
    this.#running.add(hold);
    this.#timer ??= setInterval(() => {
      if (this.#running.size === 0) return;
      this.keys
        .renew([...this.#running])
        .catch((err: unknown) => this.logger.warn({ err }, 'Idempotency-Keys could not be held on to'));
    }, RENEW_MS).unref();
  }
}

/** What an answer is bound to when it is encrypted. */
function ownerOf({ id, holder }: Hold): string {
  return `idempotency_keys ${id} ${holder}`;
}

function headersOf(reply: FastifyReply): Record<string, string> {
  return Object.fromEntries(
    KEPT_HEADERS.flatMap((name) => {
      const value = reply.getHeader(name);
      return value === undefined ? [] : [[name, String(value)]];
    }),
  );
}

const HEADER = 'Idempotency-Key';

function inFlight(): AppError {
  const headers = { 'retry-after': '1', 'x-should-retry': 'true' };
  return new AppError('idempotency_in_flight', { param: HEADER, headers });
}

function otherRequest(): AppError {
  return refused('This Idempotency-Key came before with another path or body: take a new key.');
}

function lost(how: string): AppError {
  return refused(`The request with this Idempotency-Key was made before; its answer ${how}.`);
}

function refused(message: string): AppError {
  const headers = { 'x-should-retry': 'false' };
  return new AppError('idempotency_conflict', { message, param: HEADER, headers });
}
