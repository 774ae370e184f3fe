/** Counts answers by their status; 0 is a connection that ended without one. */
export class Answers {
  /** @type {Record<string, number>} */
  counts = {};

  /** @param {number} status */
  note(status) {
    this.counts[status] = (this.counts[status] ?? 0) + 1;
  }
}
