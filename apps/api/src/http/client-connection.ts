import type { FastifyReply } from 'fastify';
import { AppError } from '#runtime/app-error.js';
import type { OpenStreams } from '#runtime/open-streams.js';

export interface ClientConnection {
  /** Aborted when the client goes away before its answer is complete, and at shutdown. */
  readonly controller: AbortController;
  /** Must be called when the request has ended. */
  readonly done: () => void;
}

/** Ties a request's work to its client: who is not there any more needs no tokens. */
export function followClient(reply: FastifyReply, streams: OpenStreams): ClientConnection {
  const { controller, done } = streams.open();
  const onClose = () => {
    if (!reply.raw.writableFinished) controller.abort(new AppError('client_closed_request'));
  };
  reply.raw.once('close', onClose);
  if (reply.raw.destroyed) onClose();
  return {
    controller,
    done: () => {
      reply.raw.off('close', onClose);
      done();
    },
  };
}
