import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { AppError } from '#runtime/app-error.js';

/** Pieces smaller than this on average cost more than what they carry. */
const MIN_PIECE_BYTES = 16;
const FREE_PIECES = 512;

/**
 * Bounds the pieces in which bodies come. Node hands on each chunk of a body by itself, and one read of the socket may
 * hold ten thousand of them, 13 ms of work: the rest is dropped before the stream sees it, whoever is to read it later.
 */
export class BodyPieces {
  readonly #excessive = new WeakSet<IncomingMessage>();
  readonly #listeners = new WeakMap<IncomingMessage, () => void>();

  /** Must be called before any of the body came. */
  watch(request: IncomingMessage): void {
    const push = request.push.bind(request);
    let pieces = 0;
    let bytes = 0;
    request.push = (piece: Buffer | null) => {
      if (piece === null) return push(piece);
      pieces += 1;
      bytes += piece.length;
      if (pieces <= FREE_PIECES + bytes / MIN_PIECE_BYTES) return push(piece);
      request.push = (next: Buffer | null) => next === null && push(next);
      silenceParser(request.socket);
      this.#excessive.add(request);
      this.#listeners.get(request)?.();
      return false; // the socket is not read any more
    };
    // It counts as read from now on: what nobody reads, Node would read away at any pace once the answer is out.
    request.read(0);
  }

  /** Calls `listener`, in place of an earlier one, once there were too many; at once if there were. */
  onTooMany(request: IncomingMessage, listener: () => void): void {
    if (this.#excessive.has(request)) listener();
    else this.#listeners.set(request, listener);
  }
}

/** What Node keeps at a server's sockets; its parser calls no handler that is no function, which is a quarter of the work. */
interface ParsedSocket {
  readonly parser?: { readonly constructor: { readonly kOnBody?: number }; [event: number]: unknown };
}

/** Until the socket is closed no body of it is handed on. Parsers are used again for other connections. */
function silenceParser(socket: Socket): void {
  const { parser } = socket as ParsedSocket;
  const event = parser?.constructor.kOnBody;
  if (!parser || event === undefined) return; // the pieces are dropped one by one
  const handler = parser[event];
  parser[event] = undefined;
  socket.once('close', () => {
    parser[event] = handler;
  });
}

export function tooManyPieces(): AppError {
  return new AppError('invalid_request', { message: 'The body comes in too many too small pieces.' });
}
