import type { GenerateEvent } from '#contracts/engine-protocol.js';

type TokensEvent = Extract<GenerateEvent, { type: 'tokens' }>;

/**
 * A request's events on their way to its one reader. Tokens that the reader has not fetched yet are joined into one
 * event, and the writer is told when too many of them pile up and when they are gone.
 */
export class EventStream implements AsyncIterable<GenerateEvent> {
  readonly #events: GenerateEvent[] = [];
  #unreadTokens = 0;
  #full = false;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(
    private readonly limitTokens: number,
    private readonly on: {
      /** More than `limitTokens` lie unread / all have been read. */
      readonly full: () => void;
      readonly drained: () => void;
      /** The reader went away before the end. */
      readonly abandoned: () => void;
    },
  ) {}

  push(event: GenerateEvent): void {
    if (this.#ended) return;
    const last = this.#events.at(-1);
    if (event.type === 'tokens' && last?.type === 'tokens') joinTokens(last, event);
    else this.#events.push(event);
    if (event.type === 'tokens') this.#unreadTokens += event.ids.length;
    if (event.type === 'finish' || event.type === 'error') this.#ended = true;
    if (!this.#full && !this.#ended && this.#unreadTokens > this.limitTokens) {
      this.#full = true;
      this.on.full();
    }
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerateEvent> {
    let done = false;
    try {
      while (!done) {
        const event = this.#events.shift();
        if (event === undefined) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = undefined;
          continue;
        }
        if (event.type === 'tokens') this.#drain();
        done = event.type === 'finish' || event.type === 'error';
        yield event;
      }
    } finally {
      if (!done) this.on.abandoned();
    }
  }

  /** At most one tokens event lies unread, so fetching one fetches them all. */
  #drain(): void {
    this.#unreadTokens = 0;
    if (!this.#full) return;
    this.#full = false;
    this.on.drained();
  }
}

function joinTokens(into: TokensEvent, event: TokensEvent): void {
  into.text += event.text;
  into.ids.push(...event.ids);
  if (event.scored !== undefined) into.scored?.push(...event.scored);
}
