import { Injectable } from '@nestjs/common';
import { Admission } from '#runtime/edge/edge-options.js';
import type { FastifyRequest } from 'fastify';
import { Credentials } from './credentials.service.js';

/** Lets send bodies who has a valid key; what it may do is the guard's question. */
@Injectable()
export class KeyAdmission extends Admission {
  constructor(private readonly credentials: Credentials) {
    super();
  }

  async admit(request: FastifyRequest): Promise<string> {
    const { operatorId, known } = await this.credentials.of(request);
    return operatorId ?? known.keyId;
  }
}
