import type { LiveFigures } from '#contracts/live-api.js';
import { figuresResource } from './figures-resource.js';
import { addFigures, type Figures, noFigures, subtractFigures } from './figures.js';

const RATE_MS = 10_000;
const WINDOW_MS = 60_000;

interface Growth {
  readonly at_ms: number;
  readonly figures: Figures;
}

/**
 * What a scope's requests did in the last seconds: how much the rows of the last minutes grew between two reads of
 * them. Whoever wrote the rows, every API process sees the same.
 */
export class LiveWindow {
  #rows = new Map<number, Figures>();
  #growths: Growth[] = [];
  #begun_ms: number | undefined;

  /** Takes the rows of the last two minutes, as they stand at `now_ms`. */
  read(rows: readonly (Figures & { readonly at: Date })[], now_ms: number): void {
    const growth = noFigures();
    const next = new Map<number, Figures>();
    for (const row of rows) {
      const at_ms = row.at.getTime();
      const known = this.#rows.get(at_ms);
      addFigures(growth, known ? subtractFigures(row, known) : row);
      next.set(at_ms, row);
    }
    this.#rows = next;
    // What the first read finds came at some time before: it counts for percentiles, not for rates.
    const at_ms = this.#begun_ms === undefined ? now_ms - RATE_MS : now_ms;
    this.#begun_ms ??= now_ms;
    if (growth.requests > 0) this.#growths.push({ at_ms, figures: growth });
    this.#growths = this.#growths.filter((each) => each.at_ms > now_ms - WINDOW_MS);
  }

  figures(now_ms: number): LiveFigures {
    const minute = noFigures();
    const recent = noFigures();
    for (const { at_ms, figures } of this.#growths) {
      addFigures(minute, figures);
      if (at_ms > now_ms - RATE_MS) addFigures(recent, figures);
    }
    const watched_ms = now_ms - (this.#begun_ms ?? now_ms);
    const seconds = Math.min(RATE_MS, Math.max(watched_ms, 1_000)) / 1000;
    return {
      object: 'live',
      at: new Date(now_ms).toISOString(),
      per_second: {
        requests: recent.requests / seconds,
        errors: recent.errors / seconds,
        prompt_tokens: recent.prompt_tokens / seconds,
        completion_tokens: recent.completion_tokens / seconds,
        good_tokens: recent.good_tokens / seconds,
      },
      last_minute: figuresResource(minute),
    };
  }
}
