import { createHash, timingSafeEqual } from 'node:crypto';
import { AppError } from '#runtime/app-error.js';

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** ENGINE_TOKEN. Hashes are compared, so neither length nor content shows in the time taken. */
export class EngineToken {
  readonly #expected: Buffer;

  constructor(token: string) {
    this.#expected = digestOf(`Bearer ${token}`);
  }

  /** Throws invalid_api_key for a header `authorization` that does not carry it. */
  check(authorization: string | undefined): void {
    if (timingSafeEqual(digestOf(authorization ?? ''), this.#expected)) return;
    throw new AppError('invalid_api_key', { message: 'The engine token is missing or not valid.' });
  }
}
