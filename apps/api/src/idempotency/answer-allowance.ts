const DAY_MS = 86_400_000;

/** Characters of answers that may be kept for one owner in a day, by one process: they lie in the database for as long. */
export const MOST_KEPT_IN_A_DAY = 256 * 2 ** 20;
/** Answers of a resource's size are kept always. */
const ALWAYS_KEPT = 4 * 2 ** 10;

interface Account {
  spent: number;
  at_ms: number;
}

/** How much more may be kept for whom; what was spent comes back evenly over a day. */
export class AnswerAllowance {
  readonly #accounts = new Map<string, Account>();

  /** Whether an answer of so many characters is kept. */
  spend(owner: string, characters: number, now_ms = Date.now()): boolean {
    const account = this.#accounts.get(owner) ?? { spent: 0, at_ms: now_ms };
    const back = ((now_ms - account.at_ms) / DAY_MS) * MOST_KEPT_IN_A_DAY;
    const spent = Math.max(account.spent - back, 0);
    const isKept = characters <= ALWAYS_KEPT || spent + characters <= MOST_KEPT_IN_A_DAY;
    this.#accounts.set(owner, { spent: isKept ? spent + characters : spent, at_ms: now_ms });
    return isKept;
  }
}
