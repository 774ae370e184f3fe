import type { FastifyRequest } from 'fastify';
import { Admission } from '#runtime/edge/edge-options.js';
import type { EngineToken } from './engine-token.js';

/** Lets send bodies who knows ENGINE_TOKEN. */
export class TokenAdmission extends Admission {
  constructor(private readonly token: EngineToken) {
    super();
  }

  async admit({ headers }: FastifyRequest): Promise<string> {
    this.token.check(headers.authorization);
    return 'token';
  }
}
