import type { IncomingMessage } from 'node:http';

/** How fast a body has to come. */
export interface BodyPace {
  /** Longest time without a byte. */
  readonly idle_ms: number;
  /** Bytes a second, on average, once `grace_ms` are over. */
  readonly minRate: number;
  readonly grace_ms: number;
}

interface Incoming {
  readonly request: IncomingMessage;
  readonly onLate: () => void;
  /** Bytes of the connection when it began. */
  readonly firstBytes: number;
  bytes: number;
  /** Time in which the client could have sent. */
  waited_ms: number;
  idle_ms: number;
}

const CHECK_MS = 250;
/** Watches bodies on their way and ends late ones. */
export class IncomingBodies {
  readonly #incoming = new Set<Incoming>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly pace: BodyPace) {}

  /** Calls `onLate` once when the body does not come as fast as it must. Time in which bytes wait for us does not count. */
  watch(request: IncomingMessage, onLate: () => void): void {
    if (isOver(request)) return;
    const bytes = request.socket.bytesRead;
    const incoming = { request, onLate, firstBytes: bytes, bytes, waited_ms: 0, idle_ms: 0 };
    this.#incoming.add(incoming);
    request.once('close', () => this.#incoming.delete(incoming));
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #check(): void {
    for (const incoming of this.#incoming) {
      if (isOver(incoming.request)) this.#incoming.delete(incoming);
      else if (this.#isLate(incoming)) {
        this.#incoming.delete(incoming);
        incoming.onLate();
      }
    }
    if (this.#incoming.size === 0) this.close();
  }

  #isLate(incoming: Incoming): boolean {
    const { request } = incoming;
    const bytes = request.socket.bytesRead;
    const came = bytes > incoming.bytes;
    incoming.bytes = bytes;
    if (request.readableLength > 0) return false; // we are the slow side
    incoming.waited_ms += CHECK_MS;
    incoming.idle_ms = came ? 0 : incoming.idle_ms + CHECK_MS;
    const { idle_ms, minRate, grace_ms } = this.pace;
    if (incoming.idle_ms >= idle_ms) return true;
    const least = ((incoming.waited_ms - grace_ms) / 1000) * minRate;
    return bytes - incoming.firstBytes < least;
  }
}

/** All of it came, or its client went: of a request that was destroyed before it is watched no event tells. */
function isOver({ complete, destroyed }: IncomingMessage): boolean {
  return complete || destroyed;
}
