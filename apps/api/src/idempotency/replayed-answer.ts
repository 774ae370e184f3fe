import type { FastifyReply } from 'fastify';

/** An answer as it was given. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Thrown in place of doing again what has been done: the error filter sends the answer of the first time. */
export class ReplayedAnswer extends Error {
  constructor(private readonly kept: KeptAnswer) {
    super('the request was answered before');
    this.name = 'ReplayedAnswer';
  }

  send(reply: FastifyReply): void {
    const { status, headers, body } = this.kept;
    void reply
      .status(status)
      .headers({ ...headers, 'idempotent-replayed': 'true' })
      .send(body);
  }
}
