import type { IncomingMessage, ServerResponse } from 'node:http';

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
/** After its answer, a request may send the rest of its body for so long: it has not read the answer yet. */
const REST_MS = 2_000;
const REST_BYTES = 32 * 2 ** 20;
/** More rests than this are not read at one time; their connections are cut. */
const MAX_RESTS = 16;

/** Watches bodies on their way: late ones are ended, and what nobody reads is read away or cut. */
export class IncomingBodies {
  readonly #incoming = new Set<Incoming>();
  #timer: NodeJS.Timeout | undefined;
  #rests = 0;

  constructor(private readonly pace: BodyPace) {}

  /** Calls `onLate` once when the body does not come as fast as it must. Time in which bytes wait for us does not count. */
  watch(request: IncomingMessage, onLate: () => void): void {
    if (request.complete) return;
    const bytes = request.socket.bytesRead;
    const incoming = { request, onLate, firstBytes: bytes, bytes, waited_ms: 0, idle_ms: 0 };
    this.#incoming.add(incoming);
    request.once('close', () => this.#incoming.delete(incoming));
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS).unref();
  }

  /** Must be called when an answer was sent. */
  answered(request: IncomingMessage, response: ServerResponse): void {
    if (request.complete || request.destroyed) return;
    const { socket } = request;
    const declared = Number(request.headers['content-length'] ?? 0);
    if (this.#rests >= MAX_RESTS || declared > REST_BYTES) return void cutAfter(response);
    this.#rests += 1;
    const limit = socket.bytesRead + REST_BYTES;
    const cut = setTimeout(() => socket.destroy(), REST_MS);
    const onData = () => {
      if (socket.bytesRead > limit) socket.destroy();
    };
    request.on('data', onData);
    const end = () => {
      clearTimeout(cut);
      this.#rests -= 1;
    };
    if (request.complete) end();
    else request.once('close', end);
    request.resume();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #check(): void {
    for (const incoming of this.#incoming) {
      if (incoming.request.complete) this.#incoming.delete(incoming);
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

/** Ends the connection once the answer is out: nobody reads what the client still sends. */
function cutAfter(response: ServerResponse): void {
  const socket = response.socket;
  if (!socket) return;
  socket.end(() => socket.destroy());
}
