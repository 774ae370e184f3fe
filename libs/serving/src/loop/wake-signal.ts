/** Lets one loop sleep until something has happened. What happens while it is awake is not lost. */
export class WakeSignal {
  #set = false;
  #resolve: (() => void) | undefined;

  notify(): void {
    this.#set = true;
    this.#resolve?.();
    this.#resolve = undefined;
  }

  async wait(): Promise<void> {
    if (!this.#set) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    }
    this.#set = false;
  }
}
