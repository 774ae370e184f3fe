import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Follows connections that have not carried a request: browsers and pools open some in advance. Node counts them
 * as busy, so a server that closes only its idle ones would wait for them at shutdown; the answer closes them.
 */
export function followUnusedConnections(server: Server): () => void {
  const unused = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  server.on('request', ({ socket }) => unused.delete(socket));
  return () => {
    for (const socket of unused) socket.destroy();
  };
}
