import type { Lock, Locker, RequestRelease } from '@tus/server';
import { AppError } from '#runtime/app-error.js';

/** One request that has an upload to itself, or waits for it. */
interface Turn {
  readonly requestRelease: RequestRelease;
  /** Makes the waiting request the holder. */
  readonly begin: () => void;
}

/**
 * One request at a time for each upload, in the order in which they came; whoever comes asks the holder to end. Within this
 * process: between processes the offset in the database decides. (The library's own locker asks on every turn of the event
 * loop whether the upload is free, so a few hundred that wait take the whole loop.)
 */
export class UploadLocker implements Locker {
  /** The first of each holds the upload. */
  readonly #turns = new Map<string, Turn[]>();

  constructor(private readonly patience_ms = 30_000) {}

  newLock(id: string): Lock {
    let mine: Turn | undefined;
    return {
      lock: async (signal, requestRelease) => {
        mine = await this.#take(id, signal, requestRelease);
      },
      unlock: async () => {
        if (mine) this.#leave(id, mine);
      },
    };
  }

  /** Throws conflict, after which clients of tus ask again, when the caller went away or has waited too long. */
  async #take(id: string, signal: AbortSignal, requestRelease: RequestRelease): Promise<Turn> {
    let settle = (_isMine: boolean): void => undefined;
    const isMine = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    const turn: Turn = { requestRelease, begin: () => settle(true) };
    const turns = this.#turns.get(id) ?? [];
    this.#turns.set(id, [...turns, turn]);
    if (turns.length === 0) return turn;
    const giveUp = (): void => settle(false);
    const timer = setTimeout(giveUp, this.patience_ms);
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    void turns[0]?.requestRelease();
    try {
      if (await isMine) return turn;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
    }
    this.#leave(id, turn);
    throw new AppError('conflict', { message: 'Another request is still at work on this upload.' });
  }

  /** Ends a turn, or gives a wait up. The next begins, and is asked to end where others wait behind it. */
  #leave(id: string, turn: Turn): void {
    const turns = this.#turns.get(id) ?? [];
    const left = turns.filter((each) => each !== turn);
    if (left.length === 0) this.#turns.delete(id);
    else this.#turns.set(id, left);
    const [next, ...behind] = left;
    if (turns[0] !== turn || !next) return;
    next.begin();
    if (behind.length > 0) void next.requestRelease();
  }
}
