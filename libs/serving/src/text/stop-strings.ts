/** What a stop check lets through; `matched` is the stop string that ended the text. */
export interface StopCheck {
  readonly text: string;
  readonly matched?: string;
}

/**
 * Finds stop strings in text that comes in pieces. Text that may be the beginning of a stop string is held back, so
 * nothing of a stop string is ever shown. The result does not depend on how the text was cut: the stop string that is
 * complete first ends it; of two that are complete at the same place, the longer.
 */
export class StopStrings {
  #held = '';

  constructor(
    private readonly stops: readonly string[],
    private readonly includeStop: boolean,
  ) {}

  push(piece: string): StopCheck {
    if (this.stops.length === 0) return { text: piece };
    const text = this.#held + piece;
    const found = firstComplete(this.stops, text);
    if (found !== undefined) {
      this.#held = '';
      return { text: text.slice(0, this.includeStop ? found.end : found.begin), matched: found.stop };
    }
    const keep = heldLength(this.stops, text);
    this.#held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep) };
  }

  /** Lets a piece through that must not be checked, and what was held. */
  pass(piece: string): string {
    return this.flush() + piece;
  }

  /** What was held back; nothing more comes. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }
}

function firstComplete(
  stops: readonly string[],
  text: string,
): { stop: string; begin: number; end: number } | undefined {
  let best: { stop: string; begin: number; end: number } | undefined;
  for (const stop of stops) {
    const begin = text.indexOf(stop);
    if (begin < 0) continue;
    const end = begin + stop.length;
    if (best === undefined || end < best.end || (end === best.end && begin < best.begin)) {
      best = { stop, begin, end };
    }
  }
  return best;
}

/** Length of the longest end of `text` that begins a stop string. */
function heldLength(stops: readonly string[], text: string): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (stop.startsWith(text.slice(text.length - length))) longest = length;
    }
  }
  return longest;
}
