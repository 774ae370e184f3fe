/** Every response that stays open (SSE, NDJSON) registers here, so that shutdown can end it. */
export class OpenStreams {
  readonly #open = new Set<AbortController>();

  get size(): number {
    return this.#open.size;
  }

  /** Opens one stream's life: abort it from outside through `signal`, and call `done` when it has ended. */
  open(): { readonly controller: AbortController; readonly done: () => void } {
    const controller = new AbortController();
    this.#open.add(controller);
    return { controller, done: () => this.#open.delete(controller) };
  }

  /** Aborts all that are open; each owner then ends its response. */
  abortAll(reason: string): void {
    for (const controller of this.#open) controller.abort(new Error(reason));
  }
}
