/** Attempts in a row that bring no byte, after which an import is given up. */
export const MAX_FRUITLESS = 8;
const FIRST_MS = 1_000;
const LONGEST_MS = 5 * 60_000;
/** A source may ask for more patience than that, but not for ever. */
const LONGEST_ASKED_MS = 3600_000;

export interface FailedTry {
  /** Attempts in a row without a byte, this one included. */
  readonly fruitless: number;
  readonly retryAfter_ms: number | undefined;
}

/**
 * How long to wait: half fixed, half chance, doubling with each fruitless attempt, so that many imports from one source
 * do not return together; never less than the source asked for. `chance` is in [0, 1).
 */
export function pauseBeforeRetry({ fruitless, retryAfter_ms = 0 }: FailedTry, chance: number): number {
  const ceiling_ms = Math.min(FIRST_MS * 2 ** Math.min(fruitless - 1, 20), LONGEST_MS);
  const own_ms = ceiling_ms / 2 + (ceiling_ms / 2) * chance;
  return Math.round(Math.max(own_ms, Math.min(retryAfter_ms, LONGEST_ASKED_MS)));
}

const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

export function isRetryableStatus(status: number): boolean {
  return RETRYABLE_STATUSES.has(status);
}

/** `Retry-After` in either form, as milliseconds from now; undefined when it says nothing that can be read. */
export function parseRetryAfter(header: string | undefined, now_ms: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const at_ms = Date.parse(header);
  return Number.isNaN(at_ms) ? undefined : Math.max(0, at_ms - now_ms);
}
