import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { EngineStream } from '#fleet/engine-fleet.js';

/** A request of many prompts does not fill the engines' queues. */
const MOST_OPEN = 256;

interface OpenedStreams {
  /** Those that answer what is open. */
  readonly engines: readonly string[];
  /** One for each call; all have to be read at once. */
  readonly events: readonly AsyncIterable<GenerateEvent>[];
}

/** Opens a stream for each call: the first at once, each of the others when one before it has ended. */
export async function openInTurn<Call>(
  calls: readonly Call[],
  open: (call: Call, index: number) => Promise<EngineStream>,
): Promise<OpenedStreams> {
  const waiting: (() => void)[] = [];
  async function* followed(events: AsyncIterable<GenerateEvent>): AsyncGenerator<GenerateEvent> {
    yield* events;
    waiting.shift()?.();
  }
  async function* later(call: Call, index: number): AsyncGenerator<GenerateEvent> {
    await new Promise<void>((resolve) => waiting.push(resolve));
    const { events } = await open(call, index);
    yield* followed(events);
  }
  const first = await Promise.all(calls.slice(0, MOST_OPEN).map(open));
  const rest = calls.slice(MOST_OPEN).map((call, at) => later(call, MOST_OPEN + at));
  return {
    engines: first.map(({ engine }) => engine),
    events: [...first.map(({ events }) => (rest.length > 0 ? followed(events) : events)), ...rest],
  };
}
