import type { Beginning, Command } from './protocol.js';

/** What a matcher has read: what its thread has answered for, and what it was asked for besides. */
export class MatcherHistory {
  readonly #confirmed: number[];
  readonly #asked: number[];

  constructor(
    readonly beginning: Beginning,
    tokens: readonly number[],
  ) {
    this.#confirmed = [...tokens];
    this.#asked = [...tokens];
  }

  /** Answered for. */
  get confirmed(): readonly number[] {
    return this.#confirmed;
  }

  /** Answered for or not. */
  get tokens(): readonly number[] {
    return this.#asked;
  }

  advance(tokens: readonly number[]): void {
    this.#asked.push(...tokens);
  }

  rollback(count: number): void {
    this.#asked.length = Math.max(0, this.#asked.length - count);
  }

  /** The thread has answered; of an advance, `accepted` tokens were taken. */
  confirm(command: Extract<Command, { kind: 'advance' | 'rollback' }>, accepted: number): void {
    if (command.kind === 'advance') {
      const refused = command.tokens.length - accepted;
      this.#confirmed.push(...command.tokens.slice(0, accepted));
      if (refused > 0) this.#asked.splice(this.#confirmed.length, refused);
    } else this.#confirmed.length = Math.max(0, this.#confirmed.length - command.count);
  }
}
