import { createServer } from 'node:net';
import { StopError } from './stop-error.mjs';

/**
 * @param {string} host
 * @param {number} port  0: any free one
 * @returns {Promise<number>} the port that could be bound
 */
function bindOnce(host, port) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}

/** A port of 127.0.0.1 that is free now. */
export function freePort() {
  return bindOnce('127.0.0.1', 0);
}

/**
 * The port itself (or a free one for 0), or a clear reason why it cannot be had.
 * @param {string} host
 * @param {number} port
 * @returns {Promise<number>}
 */
export async function claimPort(host, port) {
  try {
    return await bindOnce(host, port);
  } catch (error) {
    const code = /** @type {NodeJS.ErrnoException} */ (error).code;
    if (code === 'EADDRINUSE') {
      throw new StopError(
        `Port ${port} of ${host} is in use by another program. Choose another: PORT=${port + 1} npm start`,
      );
    }
    if (code === 'EACCES') {
      throw new StopError(`Port ${port} needs more rights than this user has. Choose one from 1024 up.`);
    }
    throw new StopError(`Cannot listen on HOST ${host}, port ${port}: ${code ?? String(error)}`);
  }
}
