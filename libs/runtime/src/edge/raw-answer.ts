import { randomUUID } from 'node:crypto';
import { type Server, STATUS_CODES, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { AppError, toEnvelope } from '#runtime/app-error.js';

/** A whole answer with the error envelope, for a connection whose request could not be read. */
export function rawAnswer(error: AppError, requestId: string = randomUUID()): string {
  const { status, body } = toEnvelope(error);
  const text = `${JSON.stringify(body)}\n`;
  const { retryAfter_s } = error.details;
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(text)}`,
    `x-request-id: ${requestId}`,
    ...(retryAfter_s === undefined ? [] : [`retry-after: ${Math.ceil(retryAfter_s)}`]),
    'connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${text}`;
}

/** Answers of which something is sent already, by their connection. */
const running = new WeakMap<Duplex, ServerResponse>();

/** Answers what Node itself refuses (no HTTP, too long headers, late headers, CONNECT) as we answer everything. */
export function answerRefusedConnections(server: Server): void {
  server.on('request', (_request, response) => {
    const { socket } = response;
    if (socket) running.set(socket, response);
  });
  server.on('connect', (_request, socket: Duplex) => {
    answer(
      socket,
      new AppError('method_not_allowed', { message: 'This server is no proxy: there is no CONNECT.' }),
    );
  });
}

/** For Fastify's `clientErrorHandler`. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  const response = running.get(socket);
  const isAnswering = response?.headersSent === true && !response.writableFinished;
  // In the middle of an answer there is nothing to say; a connection that was reset takes nothing.
  if (!socket.writable || error.code === 'ECONNRESET' || isAnswering) return void socket.destroy();
  answer(socket, faultOf(error.code));
}

function answer(socket: Duplex, error: AppError): void {
  socket.on('error', () => undefined);
  socket.end(rawAnswer(error), () => socket.destroy());
}

function faultOf(code: string | undefined): AppError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new AppError('headers_too_large');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new AppError('payload_too_large', { message: 'The chunk extensions are too long.' });
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new AppError('request_timeout', {
        message: 'The request line and headers did not come in time.',
      });
    case 'HPE_INVALID_METHOD':
      return new AppError('invalid_request', {
        message: 'The request has a method that HTTP/1.1 does not know.',
      });
    default:
      return new AppError('invalid_request', { message: 'The request is not well-formed HTTP/1.1.' });
  }
}
