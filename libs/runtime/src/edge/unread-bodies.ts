import type { IncomingMessage } from 'node:http';
import type { BodyPieces } from './body-pieces.js';

/** After its answer, a request may send the rest of its body for so long: it has not read the answer yet. */
const REST_MS = 2_000;
const REST_BYTES = 32 * 2 ** 20;
/** More are not read at one time; their connections are cut. */
const MAX_RESTS = 16;
/** What is read of all rests together in one tick: 32 MiB a second, so that those who flood us cost little. */
const TICK_MS = 10;
const TICK_BYTES = 320 * 1024;

/** Reads away what is still to come of bodies that were answered early, at a bounded pace, or cuts their connections. */
export class UnreadBodies {
  readonly #rests = new Set<IncomingMessage>();
  #room = TICK_BYTES;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly pieces: BodyPieces) {}

  /** Must be called when the request's answer was sent. */
  answered(request: IncomingMessage): void {
    if (request.destroyed) return;
    if (request.complete) return void request.resume(); // what waits would hold up the connection's next request
    const { socket } = request; // the response has let go of it
    // Node tells a request of its connection's end only until it is answered: whoever watches it waits for that.
    if (socket.destroyed) return void request.destroy();
    const gone = (): void => void request.destroy();
    socket.once('close', gone);
    request.once('close', () => socket.removeListener('close', gone));
    const declared = Number(request.headers['content-length'] ?? 0);
    if (this.#rests.size >= MAX_RESTS || declared > REST_BYTES)
      return void socket.end(() => socket.destroy());
    const limit = socket.bytesRead + REST_BYTES;
    const cut = setTimeout(() => socket.destroy(), REST_MS);
    this.#rests.add(request);
    this.pieces.onTooMany(request, () => socket.destroy());
    request.on('data', (piece: Buffer) => {
      this.#room -= piece.length;
      if (socket.bytesRead > limit) socket.destroy();
      else if (this.#room <= 0) request.pause();
    });
    request.once('close', () => {
      clearTimeout(cut);
      this.#rests.delete(request);
    });
    if (this.#room > 0) request.resume();
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    if (this.#rests.size === 0) this.close();
    this.#room = Math.min(TICK_BYTES, this.#room + TICK_BYTES);
    if (this.#room <= 0) return;
    // Whoever comes first in the set empties the room: let each be first in turn.
    const [first] = this.#rests;
    if (first && !first.destroyed) {
      this.#rests.delete(first);
      this.#rests.add(first);
    }
    for (const rest of this.#rests) rest.resume();
  }
}
