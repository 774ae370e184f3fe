interface Point {
  rows: number;
  ms: number;
  notes: number;
  /** Number of its last note among all. */
  notedAt: number;
}

/** So many steps of about as many rows are averaged; later ones count for this share. */
const AVERAGED = 8;
/** A step that took longer than so many others was held up by something else. */
const LONGEST = 3;
/** Times of other sizes follow one that changed by no more than so much at once. */
const FASTEST_DRIFT = 2;
/** Before two sizes were measured: what a row more adds, of what a row takes. */
const UNKNOWN_SLOPE = 0.25;

/**
 * What steps of so many rows take, as the last ones of about as many did. Not a straight line: rows share the reading of
 * weights. Sizes that were not measured of late follow those that were, as the machine gets slower or faster.
 */
export class RowTimes {
  /** By rows, ascending. */
  #points: Point[] = [];
  readonly #bySize = new Map<number, Point>();
  #notes = 0;

  /** By how much the steps of that size take longer than was known. */
  note(rows: number, took_ms: number): number {
    const notedAt = ++this.#notes;
    const size = sizeOf(rows);
    const point = this.#bySize.get(size);
    if (point === undefined) {
      this.#bySize.set(size, { rows, ms: took_ms, notes: 1, notedAt });
      this.#points = [...this.#bySize.values()].toSorted((a, b) => a.rows - b.rows);
      return 1;
    }
    const share = 1 / Math.min(AVERAGED, ++point.notes);
    const ms = point.notes > 3 ? Math.min(took_ms, LONGEST * point.ms) : took_ms;
    const before = { ...point };
    point.rows += (rows - point.rows) * share;
    point.ms += (ms - point.ms) * share;
    point.notedAt = notedAt;
    const drift = Math.min(FASTEST_DRIFT, Math.max(1 / FASTEST_DRIFT, point.ms / before.ms));
    for (const other of this.#points) if (other.notedAt < before.notedAt) other.ms *= drift;
    return drift;
  }

  /** Nothing was measured while other steps came to take so much longer. */
  drift(factor: number): void {
    for (const point of this.#points) point.ms *= factor;
  }

  /** Whether steps of about as many rows were measured. */
  knows(rows: number): boolean {
    return this.#bySize.has(sizeOf(rows));
  }

  /** Most rows that were measured. */
  get most(): number {
    return this.#points.at(-1)?.rows ?? 0;
  }

  /** Undefined: nothing was measured. */
  of(rows: number): number | undefined {
    const first = this.#points[0];
    const last = this.#points.at(-1);
    if (first === undefined || last === undefined) return undefined;
    if (rows <= first.rows) return first.ms;
    if (rows >= last.rows) return last.ms + (rows - last.rows) * slopeBehind(first, last);
    const at = this.#points.findIndex((point) => point.rows >= rows);
    const [below, above] = [this.#points[at - 1] as Point, this.#points[at] as Point];
    return below.ms + ((above.ms - below.ms) * (rows - below.rows)) / (above.rows - below.rows);
  }

  /** How much longer a step takes for more rows. */
  added(rows: number, more: number): number {
    return Math.max(0, (this.of(rows + more) ?? 0) - (this.of(rows) ?? 0));
  }
}

/** Each number by itself at first, then four sizes for each doubling. */
function sizeOf(rows: number): number {
  return rows <= 8 ? rows : 8 + Math.round(4 * Math.log2(rows / 8));
}

function slopeBehind(first: Point, last: Point): number {
  const most = last.ms / last.rows;
  if (last.rows === first.rows) return UNKNOWN_SLOPE * most;
  return Math.min(most, Math.max(0, (last.ms - first.ms) / (last.rows - first.rows)));
}
