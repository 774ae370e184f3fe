import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { AppError } from '#runtime/app-error.js';
import { rawAnswer } from './raw-answer.js';

export interface ConnectionLimits {
  readonly all: number;
  /** Of one address that is no trusted proxy. */
  readonly address: number;
}

/** Refuses connections beyond the limits with 503. Idle ones give way to new ones first. */
export function limitConnections(
  server: Server,
  limits: ConnectionLimits,
  isProxy: (address: string) => boolean,
): void {
  const addresses = new Map<string, number>();
  let all = 0;
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const ofAddress = (addresses.get(address) ?? 0) + 1;
    addresses.set(address, ofAddress);
    all += 1;
    socket.once('close', () => {
      all -= 1;
      const left = (addresses.get(address) ?? 1) - 1;
      if (left > 0) addresses.set(address, left);
      else addresses.delete(address);
    });
    if (all > limits.all) server.closeIdleConnections();
    if (all > limits.all) refuse(socket, 'The server has as many connections as it may have.');
    else if (ofAddress > limits.address && !isProxy(address))
      refuse(socket, 'This address has as many connections as it may have.');
  });
}

function refuse(socket: Socket, message: string): void {
  socket.on('error', () => undefined);
  socket.end(rawAnswer(new AppError('overloaded', { message, retryAfter_s: 1 })), () => socket.destroy());
}
