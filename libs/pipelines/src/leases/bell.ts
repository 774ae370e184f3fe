/** One waiter; a ring while nobody waits is heard by the next wait. */
export class Bell {
  #rung = false;
  #wake: () => void = () => undefined;

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  /** Until the next ring, at most for `limit_ms`. */
  async wait(limit_ms: number): Promise<void> {
    if (!this.#rung) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, limit_ms);
      });
      clearTimeout(timer);
    }
    this.#rung = false;
  }
}
