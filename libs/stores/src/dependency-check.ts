import { isSilence } from './postgres/database-error.js';

export type CheckState = 'up' | 'down';

const ANSWER_MS = 2_000;
/** A dependency that answered so lately counts as up while its next answer is late: a busy server is no dead one. */
const LATE_MS = 10_000;

/** Whether something answers that this process works with. Whoever asks at the same time shares one question. */
export class DependencyCheck {
  #asked: Promise<boolean> | undefined;
  #upAt_ms = Number.NEGATIVE_INFINITY;

  /** @param ask rejects where the dependency refuses; it may take as long as it likes */
  constructor(private readonly ask: () => Promise<unknown>) {}

  /** Down when it refuses; when it is late, as it last answered. */
  async state(): Promise<CheckState> {
    this.#asked ??= this.#askOnce().finally(() => (this.#asked = undefined));
    const isUp = (await inTime(this.#asked, ANSWER_MS)) ?? this.#answeredLately();
    return isUp ? 'up' : 'down';
  }

  async #askOnce(): Promise<boolean> {
    // A question may be lost with its connection: the next caller asks another then.
    const answer = await inTime(
      this.ask().then(() => true, refusalOf),
      LATE_MS,
    );
    if (answer !== undefined) this.#upAt_ms = answer ? performance.now() : Number.NEGATIVE_INFINITY;
    return answer ?? this.#answeredLately();
  }

  #answeredLately(): boolean {
    return performance.now() - this.#upAt_ms < LATE_MS;
  }
}

/** Undefined where the error says no more than that no answer came. */
function refusalOf(error: unknown): false | undefined {
  return isSilence(error) ? undefined : false;
}

/** Undefined when it takes too long. */
export async function inTime<T>(answer: Promise<T>, limit_ms = ANSWER_MS): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limit_ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
