import type { GenerateEvent } from '#contracts/engine-protocol.js';

/** The first chunk of a sequence comes with its first token: clients take the time to it for the time to the token. */
export class OpeningChunks {
  readonly #held = new Map<number, readonly object[]>();

  /** What is to be sent now. */
  take(sequence: number, event: GenerateEvent, chunks: readonly object[]): readonly object[] {
    if (event.type === 'start') {
      this.#held.set(sequence, chunks);
      return [];
    }
    const held = this.#held.get(sequence) ?? [];
    this.#held.delete(sequence);
    return [...held, ...chunks];
  }
}
