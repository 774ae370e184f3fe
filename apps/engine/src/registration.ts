import { randomUUID } from 'node:crypto';
import type { Logger } from '#runtime/logger.js';

export interface RegistrationOptions {
  /** An API, or what stands before several. */
  readonly controlUrl: string;
  readonly token: string;
  readonly name: string;
  /** Where APIs and workers reach this engine. */
  readonly url: string;
  readonly logger: Logger;
  /** Another engine holds the name and does not give it up. */
  readonly onRefused: (message: string) => void;
}

const EVERY_MS = 4_000;
const ANSWER_MS = 3_000;
/** An engine that was killed holds its name a little longer; after this time the name is another's for good. */
const PATIENCE_MS = 25_000;

/** Tells the control plane, again and again, that this engine is there, and in the end that it is not. */
export class Registration {
  readonly #instance = randomUUID();
  #timer: NodeJS.Timeout | undefined;
  #telling: Promise<void> = Promise.resolve();
  #refusedSince_ms: number | undefined;
  #ended = false;

  constructor(private readonly options: RegistrationOptions) {}

  start(): void {
    this.#telling = this.#tell();
  }

  /** Safe to call twice. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#telling;
    await this.#call('DELETE').catch(() => undefined); // it is found to be gone
  }

  async #tell(): Promise<void> {
    const { logger, controlUrl } = this.options;
    try {
      const answer = await this.#call('PUT');
      const refused = answer.status === 409;
      if (!refused) this.#refusedSince_ms = undefined;
      if (!answer.ok) this.#complain(refused, await messageOf(answer));
    } catch (err) {
      logger.warn({ controlUrl, err }, 'the control plane does not answer; the engine registers later');
    }
    if (!this.#ended) this.#timer = setTimeout(() => this.start(), EVERY_MS);
  }

  #complain(refused: boolean, message: string): void {
    this.options.logger.error({ controlUrl: this.options.controlUrl }, `not registered: ${message}`);
    if (!refused) return;
    this.#refusedSince_ms ??= performance.now();
    if (performance.now() - this.#refusedSince_ms > PATIENCE_MS) this.options.onRefused(message);
  }

  #call(method: 'PUT' | 'DELETE'): Promise<Response> {
    const { controlUrl, token, name, url } = this.options;
    const target = new URL(`/internal/engines/${encodeURIComponent(name)}`, controlUrl);
    target.searchParams.set('instance', this.#instance);
    if (method === 'PUT') target.searchParams.set('url', url);
    return fetch(target, {
      method,
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  }
}

async function messageOf(answer: Response): Promise<string> {
  const text = await answer.text();
  try {
    return (JSON.parse(text) as { error: { message: string } }).error.message;
  } catch {
    return `${answer.status} ${text.slice(0, 200)}`;
  }
}
