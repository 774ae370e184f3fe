/** Injection token. */
export const CLOCK = Symbol('CLOCK');

export interface Clock {
  /** Calls back once that time has come, at once where it has passed; returns how to forget it. */
  at(time: Date, call: () => void): () => void;
}

/** Node's timers go no further. */
const FURTHEST_MS = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  at(time, call) {
    const left_ms = time.getTime() - Date.now();
    if (left_ms <= 0) {
      call();
      return () => undefined;
    }
    const timer = setTimeout(call, Math.min(left_ms, FURTHEST_MS));
    return () => clearTimeout(timer);
  },
};
