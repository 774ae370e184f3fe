import type { GenerateEvent } from '#contracts/engine-protocol.js';
import { mergeStreams } from '#runtime/merge-streams.js';

type Events = AsyncIterable<GenerateEvent>;

export interface Choices {
  /** The first answer's; it also says what holds for all: `start`, and `prompt` where the prompt is scored. */
  readonly leader: Events;
  /** Those of the others; or how to begin them once the prompt is scored. */
  readonly others: readonly Events[] | (() => readonly Events[]);
  /** Ends all that still run. */
  readonly cancel: () => void;
}

/**
 * All answers to one prompt as one stream: each event with the index of its answer, after what is said once of the prompt.
 * An error of one ends all.
 */
export async function* joinChoices({ leader, others, cancel }: Choices): AsyncGenerator<GenerateEvent> {
  const first = leader[Symbol.asyncIterator]();
  try {
    // The others may have tokens before the reader has taken what comes first.
    const last = typeof others === 'function' ? 'prompt' : 'start';
    for (let type = ''; type !== last; ) {
      const { value, done } = await first.next();
      if (done === true) return;
      yield value;
      if (value.type === 'error') return;
      type = value.type;
    }
    const rest = typeof others === 'function' ? others() : others;
    for await (const { source, value } of mergeStreams([{ [Symbol.asyncIterator]: () => first }, ...rest])) {
      yield value.type === 'tokens' || value.type === 'finish' ? { ...value, choice: source } : value;
      if (value.type === 'error') return;
    }
  } finally {
    cancel();
  }
}
